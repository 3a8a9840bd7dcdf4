// The chains of one iptables table that are ours: what they should hold, and what we know them to hold.
import type { Rules } from '../rendered.ts'
import { areSameRules } from './canonical-rule.ts'
import { shared } from './ours.ts'

/** From what is in force to what should be. */
export interface Difference {
  /** Chain -> its rules, all of them. */
  readonly write: ReadonlyMap<string, Rules>
  readonly remove: readonly string[]
}

export class TableState {
  readonly #desired = new Map<string, Rules>()
  /** Undefined: it may be there, and nobody knows what it holds, since a restore that named it has failed. */
  readonly #applied = new Map<string, Rules | undefined>()
  /** Every chain that may differ is among these; it leaves when both sides agree. So a pass costs what has changed and not what there is. */
  readonly #touched = new Set<string>()

  /** How many rules there should be. */
  #rules = 0

  get rules(): number {
    return this.#rules
  }

  get desired(): ReadonlyMap<string, Rules> {
    return this.#desired
  }

  get applied(): ReadonlyMap<string, Rules | undefined> {
    return this.#applied
  }

  want(chain: string, rules: Rules): void {
    const known = this.#desired.get(chain)
    if (known !== undefined && sameRules(known, rules)) return
    this.#rules += rules.length - (known?.length ?? 0)
    this.#desired.set(chain, rules)
    const held = this.#applied.get(chain)
    if (held !== undefined) this.learn(chain, held)
    else this.#touch(chain)
  }

  unwant(chain: string): void {
    this.#rules -= this.#desired.get(chain)?.length ?? 0
    this.#desired.delete(chain)
    this.#touch(chain)
  }

  /** The kernel holds the chain like this. */
  learn(chain: string, rules: Rules): void {
    const wanted = this.#desired.get(chain)
    // One object where both are the same, so that they are told apart by identity and the text is kept once.
    this.#applied.set(chain, wanted !== undefined && satisfies(chain, rules, wanted) ? wanted : rules)
    this.#touch(chain)
  }

  /** The chain is not there. */
  learnGone(chain: string): void {
    this.#applied.delete(chain)
    this.#touch(chain)
  }

  /** What the chain holds is no longer known. */
  doubt(chain: string): void {
    this.#applied.set(chain, undefined)
    this.#touch(chain)
  }

  difference(): Difference {
    const touched = [...this.#touched]
    const write = touched.flatMap((chain) => {
      const rules = this.#desired.get(chain)
      return rules === undefined ? [] : [[chain, rules] as const]
    })
    return { write: new Map(write), remove: touched.filter((chain) => !this.#desired.has(chain)) }
  }

  #touch(chain: string): void {
    const [wanted, held] = [this.#desired.get(chain), this.#applied.get(chain)]
    const agree = wanted === held && (wanted !== undefined || !this.#applied.has(chain))
    if (agree) this.#touched.delete(chain)
    else this.#touched.add(chain)
  }
}

/** Whether the chain may stay as it is. */
function satisfies(chain: string, held: Rules, wanted: Rules): boolean {
  // What kubelet has put there besides is none of our business.
  return chain === shared ? wanted.every((rule) => held.includes(rule)) : areSameRules(wanted, held)
}

function sameRules(a: Rules, b: Rules): boolean {
  return a === b || (a.length === b.length && a.every((rule, i) => rule === b[i]))
}
