// The edge: differences go to nft, and what the kernel holds is remembered, looked at, and put right.
import type { Logger } from 'pino'
import { CommandError } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { diffTables, type Held, type TableDiff } from './diff.ts'
import type { Look } from './look-schedule.ts'
import { type ObservedTable, observeSets, observeTable } from './observe.ts'
import { noElements, type PolicyTable, type TableChain, type TableSet } from './table.ts'

interface Damage {
  /** What differs, a name each: "table", "map ingress4", "chain ingress-0a1b...". */
  readonly what: readonly string[]
  /** What is left, for the diff that mends it. */
  readonly left: Held
}

export class AppliedTable {
  readonly #name: string
  readonly #kernel: Kernel
  /** What we have written last, as far as nobody has touched it. */
  #held: Held = 'unknown'
  /** The table as the kernel should show it: the one written. Undefined: none. */
  #written: PolicyTable | undefined
  /** Chain -> how the kernel showed it when it was seen first after it had been written. */
  readonly #seen = new Map<string, { chain: TableChain; handles: readonly string[] }>()

  /** @param name with its family */
  constructor(name: string, kernel: Kernel) {
    this.#name = name
    this.#kernel = kernel
  }

  /** Whether we know what the kernel holds. */
  get isKnown(): boolean {
    return typeof this.#held !== 'string'
  }

  /** What it takes to bring the kernel to the table. */
  diffTo(table: PolicyTable | undefined): TableDiff {
    return diffTables(this.#held, table, this.#name)
  }

  /** A transaction begins, and may go wrong. */
  doubt(): void {
    const before = typeof this.#held === 'string' ? undefined : this.#held
    for (const [name, { chain }] of this.#seen) if (before?.chains.get(name) !== chain) this.#seen.delete(name)
    this.#held = 'unknown'
  }

  /** The kernel has been brought to the table. */
  settle(table: PolicyTable | undefined): void {
    for (const [name, { chain }] of this.#seen) if (table?.chains.get(name) !== chain) this.#seen.delete(name)
    this.#held = table ?? 'absent'
    this.#written = table
  }

  /**
   * What another program has changed of the last table written.
   * @param which everything, or only where packets are told apart, which is where a whole table or a pod goes missing;
   * or nothing, and only what is counted is read
   * @returns a name for each: "table", "map ingress4", "chain ingress-0a1b..."; the next {@link writeTables} mends
   * them. @throws {CommandError}
   */
  async look(which: Look): Promise<{ damaged: readonly string[]; counts: ObservedTable['counts'] }> {
    const written = this.#written
    if (written === undefined || typeof this.#held === 'string') return { damaged: [], counts: new Map() }
    if (which === 'counts') return { damaged: [], counts: await this.#counts(written) }
    const observed = which === 'whole' ? await observeTable(this.#kernel, this.#name) : undefined
    const damage = which === 'whole' ? damageOf(written, observed, this.#seen) : await this.#lookAtMaps(written)
    if (damage !== undefined) this.#held = damage.left
    return { damaged: damage?.what ?? [], counts: observed?.counts ?? new Map<string, never>() }
  }

  async #counts({ sets }: PolicyTable): Promise<ObservedTable['counts']> {
    const counted = [...sets].filter(
      ([, { declaration, elements }]) => declaration.includes('counter') && elements.size > 0,
    )
    return (
      await observeSets(
        this.#kernel,
        this.#name,
        counted.map(([name, { kind }]) => ({ kind, name })),
      )
    ).counts
  }

  async #lookAtMaps(written: PolicyTable): Promise<Damage | undefined> {
    const maps = [...written.sets]
      .filter(([, { kind }]) => kind === 'map')
      .map(([name]) => ({ kind: 'map' as const, name }))
    const { sets: seen } = await observeSets(this.#kernel, this.#name, maps)
    const gone = maps.filter(({ name }) => !seen.has(name))
    if (gone.length > 0)
      return { what: gone.length === maps.length ? ['table'] : gone.map(({ name }) => `map ${name}`), left: 'unknown' }
    const damaged = maps.filter(({ name }) => !sameElements(seen.get(name), written.sets.get(name)?.elements))
    if (damaged.length === 0) return undefined
    const left = new Map(
      [...written.sets].map(([name, set]): [string, TableSet] => [
        name,
        damaged.some((each) => each.name === name) ? { ...set, elements: seen.get(name) ?? noElements } : set,
      ]),
    )
    return { what: damaged.map(({ name }) => `map ${name}`), left: { ...written, sets: left } }
  }
}

export interface WantedTable {
  readonly applied: AppliedTable
  /** Undefined: none. */
  readonly table: PolicyTable | undefined
}

/**
 * Brings the kernel to all of these in one transaction.
 * @throws {CommandError}; the next call then writes all of them anew.
 */
export async function writeTables(
  { kernel, log }: { kernel: Kernel; log: Logger },
  wanted: readonly WantedTable[],
): Promise<TableDiff> {
  const diffs = wanted.map(({ applied, table }) => applied.diffTo(table))
  const sum = (count: (diff: TableDiff) => number): number => diffs.reduce((total, diff) => total + count(diff), 0)
  const diff = {
    text: diffs.map(({ text }) => text).join(''),
    elements: sum(({ elements }) => elements),
    chains: sum(({ chains }) => chains),
    sets: sum(({ sets }) => sets),
  }
  if (diff.text !== '') await transact({ kernel, log }, wanted, diff.text)
  for (const { applied, table } of wanted) applied.settle(table)
  return diff
}

async function transact(
  { kernel, log }: { kernel: Kernel; log: Logger },
  wanted: readonly WantedTable[],
  text: string,
): Promise<void> {
  const isKnown = wanted.some(({ applied }) => applied.isKnown)
  for (const { applied } of wanted) applied.doubt()
  try {
    await kernel.applyNft(text)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    // A node that has no nft holds no table of ours either.
    if (error.kind === 'not-installed' && wanted.every(({ table }) => table === undefined)) return
    if (!isKnown) throw error
    log.info({ stderr: error.stderr }, 'the policy rules are not as we left them; they are written anew')
    await kernel.applyNft(wanted.map(({ applied, table }) => applied.diffTo(table).text).join(''))
  }
}

/** Pure, but for `seen`, where it files what it sees for the first time. */
export function damageOf(
  written: PolicyTable,
  observed: ObservedTable | undefined,
  seen: Map<string, { chain: TableChain; handles: readonly string[] }>,
): Damage | undefined {
  if (observed === undefined) return { what: ['table'], left: 'unknown' }
  for (const name of seen.keys()) if (!written.chains.has(name)) seen.delete(name)
  const chains = new Map<string, TableChain>()
  const what: string[] = []
  for (const [name, chain] of written.chains) {
    const handles = observed.chains.get(name)
    const known = seen.get(name)
    const rules = chain.rules.length + (chain.declaration.startsWith('type') ? 1 : 0)
    const whole =
      handles !== undefined &&
      (known?.chain === chain ? known.handles.join() === handles.join() : handles.length === rules)
    if (handles !== undefined) chains.set(name, whole ? chain : { ...chain, rules: [] })
    if (!whole) what.push(`chain ${name}`)
    if (whole) seen.set(name, { chain, handles })
    else seen.delete(name)
  }
  for (const name of observed.chains.keys()) {
    if (written.chains.has(name)) continue
    what.push(`chain ${name}`)
    chains.set(name, { declaration: '', rules: [] })
  }
  const sets = new Map<string, TableSet>()
  for (const [name, set] of written.sets) {
    const elements = observed.sets.get(name)
    if (!sameElements(elements, set.elements)) what.push(`${set.kind} ${name}`)
    if (elements !== undefined) sets.set(name, sameElements(elements, set.elements) ? set : { ...set, elements })
  }
  if (what.length === 0) return undefined
  // A base chain without its hook, or with another policy, cannot be mended by its rules.
  const isBroken = [...written.chains].some(
    ([name, { declaration }]) => declaration.startsWith('type') && what.includes(`chain ${name}`),
  )
  return { what, left: isBroken ? 'unknown' : { sets, chains } }
}

function sameElements(a: ReadonlyMap<string, string> | undefined, b: ReadonlyMap<string, string> | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.size === b.size &&
    [...a].every(([element, verdict]) => b.get(element) === verdict)
  )
}
