// The jumps of one owner in the built-in chains of one table: which are wanted, which are in force, and what puts the
// others right.
import type { IptablesTable } from './iptables.ts'
import { type Jump, type JumpEdits, jumpEdits, jumpKey, noEdits } from './jumps.ts'
import type { RulesOwner } from './owner.ts'
import type { NormalForms } from './parse-rule.ts'
import { formatRule } from './rule.ts'
import type { Lines } from './table-state.ts'

export class TableJumps {
  readonly #table: IptablesTable
  readonly #owner: RulesOwner
  readonly #forms: NormalForms
  #wanted: readonly Jump[] = []
  /** Jumps that were right when last read or written, by key: their text. */
  #inForce: ReadonlyMap<string, string> = new Map()
  /** As of the last {@link compare}; none once they are written. */
  edits: JumpEdits = noEdits

  constructor(parts: { table: IptablesTable; owner: RulesOwner; forms: NormalForms }) {
    this.#table = parts.table
    this.#owner = parts.owner
    this.#forms = parts.forms
  }

  /** Wants these jumps and no others. Takes effect with the next {@link compare}. */
  want(jumps: readonly Jump[]): void {
    this.#wanted = jumps
  }

  get wanted(): readonly Jump[] {
    return this.#wanted
  }

  /**
   * Compares the jumps with what built-in chains hold.
   * @returns the keys of jumps that were in force, are still wanted and are not right any more
   */
  compare(bases: ReadonlyMap<string, Lines>): string[] {
    const all = [...bases].map(([chain, rules]) => this.editsOf(chain, rules))
    this.edits = {
      keys: all.flatMap(({ keys }) => keys),
      deletes: all.flatMap(({ deletes }) => deletes),
      inserts: all.flatMap(({ inserts }) => inserts),
    }
    const wrong = new Set(this.edits.keys)
    const texts = this.#texts()
    const drifted = [...this.#inForce].filter(([key, text]) => wrong.has(key) && texts.get(key) === text)
    this.#inForce = new Map([...texts].filter(([key]) => !wrong.has(key)))
    return drifted.map(([key]) => key)
  }

  /** Returns what puts the jumps of one built-in chain right. @param rules what it holds */
  editsOf(chain: string, rules: Lines): JumpEdits {
    const jumps = this.#wanted.filter(({ base }) => base === chain)
    return jumpEdits({ table: this.#table, chain }, jumps, rules, { owner: this.#owner, forms: this.#forms })
  }

  /** Takes note that {@link edits} have been written. */
  written(): void {
    const put = new Set(this.edits.keys)
    const texts = [...this.#texts()]
    this.#inForce = new Map(texts.filter(([key, text]) => put.has(key) || this.#inForce.get(key) === text))
    this.edits = noEdits
  }

  #texts(): Map<string, string> {
    return new Map(this.#wanted.map((jump) => [jumpKey(jump), formatRule(jump.rule)]))
  }
}
