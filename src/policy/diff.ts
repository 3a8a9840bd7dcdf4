// From the table that the kernel holds to the one that it should: one transaction, so that no packet meets anything
// between. A pod that comes or goes costs elements of sets alone.
import { noElements, type PolicyTable, policyTable, type TableChain, type TableSet } from './table.ts'

export interface TableDiff {
  /** Text for `nft -f`; "" where nothing differs. */
  readonly text: string
  readonly elements: number
  readonly chains: number
  readonly sets: number
}

/** What the kernel holds, as far as we know. */
export type Held = PolicyTable | 'absent' | 'unknown'

const nothing: PolicyTable = { sets: new Map(), chains: new Map() }

/** @param after undefined: nothing is to be there @param table its family and name */
export function diffTables(held: Held, after: PolicyTable | undefined, table: string = policyTable): TableDiff {
  const before = typeof held === 'string' ? nothing : held
  if (after === undefined)
    return {
      text: held === 'absent' ? '' : `add table ${table}\ndelete table ${table}\n`,
      elements: 0,
      chains: before.chains.size,
      sets: before.sets.size,
    }
  return new Writer(table, before, after).diff(
    before === nothing ? [`add table ${table}`, `delete table ${table}`, `add table ${table}`] : [],
  )
}

class Writer {
  readonly #table: string
  readonly #before: PolicyTable
  readonly #after: PolicyTable
  readonly #count = { elements: 0, chains: 0, sets: 0 }

  constructor(table: string, before: PolicyTable, after: PolicyTable) {
    this.#table = table
    this.#before = before
    this.#after = after
  }

  /** What is named comes before what names it, and goes after it. */
  diff(first: readonly string[]): TableDiff {
    const changes = [
      ...this.#newSets(),
      ...this.#newChains(),
      ...this.#changedElements(),
      ...this.#staleChains(),
      ...this.#staleSets(),
    ]
    const lines = changes.length === 0 ? [] : [...first, ...changes]
    return { text: lines.map((line) => `${line}\n`).join(''), ...this.#count }
  }

  *#newSets(): Generator<string> {
    for (const [name, { kind, declaration, elements }] of this.#after.sets) {
      if (this.#before.sets.has(name)) continue
      this.#count.sets++
      // The verdicts of a map name chains, which come later.
      const filled = kind === 'set' && elements.size > 0 ? ` elements = { ${[...elements.keys()].join(', ')} };` : ''
      yield `add ${kind} ${this.#table} ${name} { ${declaration}${filled} }`
    }
  }

  *#newChains(): Generator<string> {
    const changed = [...this.#after.chains].filter(([name, chain]) => !sameRules(this.#before.chains.get(name), chain))
    this.#count.chains += changed.length
    for (const [name, { declaration }] of changed)
      yield this.#before.chains.has(name)
        ? `flush chain ${this.#table} ${name}`
        : `add chain ${this.#table} ${name}${declaration === '' ? '' : ` { ${declaration} }`}`
    for (const [name, { rules }] of changed) for (const rule of rules) yield `add rule ${this.#table} ${name} ${rule}`
  }

  *#changedElements(): Generator<string> {
    for (const [name, set] of this.#after.sets) {
      const known = this.#before.sets.get(name)
      // A new set has its elements from the start.
      const before = known?.elements ?? (set.kind === 'set' ? set.elements : noElements)
      if (before !== set.elements) yield* this.#elements(name, before, set)
    }
  }

  *#elements(name: string, before: TableSet['elements'], { elements }: TableSet): Generator<string> {
    const gone = [...before].filter(([element, verdict]) => elements.get(element) !== verdict)
    const come = [...elements].filter(([element, verdict]) => before.get(element) !== verdict)
    this.#count.elements += gone.length + come.length
    if (gone.length > 0)
      yield `delete element ${this.#table} ${name} { ${gone.map(([element]) => element).join(', ')} }`
    if (come.length > 0)
      yield `add element ${this.#table} ${name} { ${come.map(([element, verdict]) => (verdict === '' ? element : `${element} : ${verdict}`)).join(', ')} }`
  }

  *#staleChains(): Generator<string> {
    const stale = [...this.#before.chains.keys()].filter((name) => !this.#after.chains.has(name))
    this.#count.chains += stale.length
    for (const name of stale) yield `flush chain ${this.#table} ${name}`
    for (const name of stale) yield `delete chain ${this.#table} ${name}`
  }

  *#staleSets(): Generator<string> {
    for (const [name, { kind }] of this.#before.sets) {
      if (this.#after.sets.has(name)) continue
      this.#count.sets++
      yield `delete ${kind} ${this.#table} ${name}`
    }
  }
}

function sameRules(before: TableChain | undefined, after: TableChain): boolean {
  return (
    before !== undefined &&
    (before === after ||
      (before.rules.length === after.rules.length && before.rules.every((rule, i) => rule === after.rules[i])))
  )
}
