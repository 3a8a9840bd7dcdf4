// The tables of one family in the kernel: knows what they hold, writes what differs, and finds out when somebody else
// has written.
import type { Logger } from 'pino'
import type { Family } from '../../net/address.ts'
import { CommandError } from '../../kernel/command-error.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import type { Chains, Rules } from '../rendered.ts'
import { baseJumps } from '../static-chains.ts'
import { Ahead } from './ahead.ts'
import { jumpRemovals, missingJumps } from './base-jumps.ts'
import { areSameRules, isSameRule } from './canonical-rule.ts'
import { observeTable } from './observe.ts'
import { canary, isOurs, marker, type Table } from './ours.ts'
import { isWorthARestore, planAhead, planTransactions, type TableInput, type Transaction } from './plan.ts'
import { TableState } from './table-state.ts'
import { inAll, nothing, type Written } from './written.ts'

export const tables: readonly Table[] = ['mangle', 'filter', 'nat']

/** Its methods must not overlap. */
export class FamilyTables {
  readonly family: Family
  readonly #iptables: Iptables
  readonly #log: Logger
  readonly #states = newStates()
  readonly #jumps: Record<Table, readonly string[]> = { filter: [], nat: [], mangle: [] }
  /** Tables that have to be read before the next write: at the start, and where writes keep failing. */
  readonly #unread = new Set<Table>(tables)
  /** The first and the last rule of each root chain. */
  readonly #ends = new Map<string, readonly string[]>()
  readonly #rendered: (chains: ReadonlySet<string>) => Chains
  /** What is written of table nat while the rest is still being rendered. */
  readonly #ahead = new Ahead(async (chains) => this.#run(planAhead(chains), this.#states))
  #failures = 0

  /** @param parts.rendered renders chains of table nat again. */
  constructor(parts: {
    family: Family
    iptables: Iptables
    log: Logger
    rendered: (chains: ReadonlySet<string>) => Chains
  }) {
    this.family = parts.family
    this.#rendered = parts.rendered
    this.#iptables = parts.iptables
    this.#log = parts.log
    for (const table of tables) this.#states[table].want(canary, [])
    this.#states.mangle.want(marker, [])
  }

  /** Chains that should be there, in a table. */
  size(table: Table): number {
    return this.#states[table].size
  }

  /** What chains of table nat hold that are not as they should be: at the start, all that were found. */
  get found(): Iterable<readonly [chain: string, rules: Rules]> {
    return this.#states.nat.heldText()
  }

  want(table: Table, chains: Iterable<readonly [chain: string, rules: Rules]>): void {
    for (const [chain, rules] of chains) {
      this.#states[table].want(chain, rules)
      if (rootChains.some((root) => root.table === table && root.chain === chain))
        this.#ends.set(
          `${table} ${chain}`,
          [...new Set([rules[0], rules.at(-1)])].filter((rule) => rule !== undefined),
        )
    }
  }

  unwant(table: Table, chains: Iterable<string>): void {
    for (const chain of chains) this.#states[table].unwant(chain)
  }

  /** Learns what the tables hold, where that is not known. @throws {CommandError} */
  async adopt(): Promise<void> {
    for (const table of tables) if (this.#unread.has(table)) await this.#read(table)
  }

  /**
   * Begins to write chains that are not there yet, and that so nobody calls, once there are enough for a restore of
   * their own; does not wait for its end. Where a restore costs what the whole table does, it does nothing. Never
   * rejects: {@link sync} tells of a failure.
   */
  async writeAhead(): Promise<void> {
    const { nat } = this.#states
    if (isWorthARestore(await this.#iptables.backend(), nat.freshCount - this.#ahead.size))
      await this.#ahead.begin(nat.fresh())
  }

  /**
   * Brings the kernel from what it is known to hold to what is wanted. What fails is tried again by the next call.
   * @throws {CommandError}
   */
  async sync(): Promise<Written> {
    // Two that fail beside each other fail once.
    const before = this.#ahead.hasBegun ? await this.#counted(this.#ahead.finish()) : []
    await this.adopt()
    return [...before, await this.#write(await this.#plan())].reduce(inAll)
  }

  /** What a {@link sync} would find to do, without doing it. @throws {CommandError} */
  async preview(): Promise<Readonly<Record<Table, TableInput>>> {
    await this.adopt()
    return this.#inputs()
  }

  /**
   * Reads a table and makes it right.
   * @returns what somebody else had changed: chains and jumps.
   * @throws {CommandError}
   */
  async audit(table: Table): Promise<{ repaired: readonly string[]; written: Written }> {
    const chains = await this.#read(table)
    const repaired = [...chains, ...this.#jumps[table]]
    const inputs = this.#inputs()
    const written = await this.#write(planTransactions(await this.#iptables.backend(), inputs))
    await this.#learnSpellings(table, chains, inputs[table].write)
    if (repaired.length > 0)
      this.#log.warn(
        { family: this.family, table, repaired: repaired.slice(0, 20), count: repaired.length },
        'service rules had been changed by another program: repaired',
      )
    return { repaired, written }
  }

  /**
   * Whether what everything hangs from is there: the jumps, and the ends of the chains that they lead to. One process
   * start, in which legacy reads both tables.
   * @throws {CommandError}
   */
  async looksWhole(): Promise<boolean> {
    const jumps = baseJumps.map(({ table, base, rule }) => ({ table, rule: `-A ${base} ${rule}` }))
    const roots = rootChains.flatMap(({ table, chain }) =>
      (this.#ends.get(`${table} ${chain}`) ?? []).map((rule) => ({ table, rule: `-A ${chain} ${rule}` })),
    )
    return this.#iptables.hasRules(this.family, [...jumps, ...roots])
  }

  /**
   * How often others have written rules (see {@link Iptables.foreignWrites}), as far as that tells whether another look
   * is needed.
   * @throws {CommandError}
   */
  async foreignWrites(depth: 'roots' | 'whole'): Promise<number | undefined> {
    if (depth === 'whole' && (await this.#iptables.backend()) === 'legacy') return undefined
    return this.#iptables.foreignWrites()
  }

  /**
   * Removes every chain and jump of ours and nothing else: nothing at all where a kube-proxy wrote what is there.
   * @throws {CommandError}
   */
  async clean(): Promise<Written> {
    if ((await this.#rulesIn('mangle', marker)) === undefined) return nothing
    const states = newStates()
    const inputs = { filter: empty, nat: empty, mangle: empty }
    for (const table of tables) {
      const { chains, bases } = await observeTable(this.#iptables, this.family, table, () => false)
      for (const [chain, rules] of chains) if (isOurs(table, chain)) states[table].learn(chain, rules ?? [])
      inputs[table] = { ...states[table].difference(), jumps: jumpRemovals(table, bases) }
    }
    const written = await this.#run(planTransactions(await this.#iptables.backend(), inputs), states)
    for (const table of tables) this.#unread.add(table)
    return written
  }

  /** @returns the chains that are not as we had left them. */
  async #read(table: Table): Promise<string[]> {
    const state = this.#states[table]
    const { chains, bases } = await observeTable(this.#iptables, this.family, table, (chain, print) =>
      state.agrees(chain, print),
    )
    const gone = [...state.held()].filter((chain) => !chains.has(chain))
    const different = [...chains].flatMap(([chain, rules]) => (rules === undefined ? [] : [[chain, rules] as const]))
    const settled = [...gone, ...different.map(([chain]) => chain)].filter((chain) => state.isSettled(chain))
    for (const chain of gone) state.learnGone(chain)
    for (const [chain, rules] of different) state.learn(chain, rules)
    const unrendered = state.unrendered
    if (unrendered.size > 0)
      for (const [chain, rules] of [[canary, []] as const, ...this.#rendered(unrendered)]) state.want(chain, rules)
    this.#jumps[table] = missingJumps(table, bases)
    // What was never read was not left by us in any state.
    const drifted = this.#unread.has(table) ? [] : settled.filter((chain) => !state.isSettled(chain))
    this.#unread.delete(table)
    return drifted
  }

  async #plan(): Promise<Transaction[]> {
    return planTransactions(await this.#iptables.backend(), this.#inputs())
  }

  #inputs(): Readonly<Record<Table, TableInput>> {
    const input = (table: Table): TableInput => ({ ...this.#states[table].difference(), jumps: this.#jumps[table] })
    return { filter: input('filter'), nat: input('nat'), mangle: input('mangle') }
  }

  async #write(transactions: readonly Transaction[]): Promise<Written> {
    const written = await this.#counted(this.#run(transactions, this.#states))
    for (const table of tables) this.#jumps[table] = []
    return written
  }

  async #counted<T>(writing: Promise<T>): Promise<T> {
    try {
      const written = await writing
      this.#failures = 0
      return written
    } catch (error) {
      // Without the program nothing of the kernel has shown itself, and no look would come of it.
      if (!(error instanceof CommandError && error.kind === 'not-installed')) this.#failures += 1
      // Once may be chance. Twice: the kernel does not hold what we believe, such as a chain that a rule of ours leads
      // to.
      if (this.#failures > 1) for (const table of tables) this.#unread.add(table)
      throw error
    }
  }

  async #run(transactions: readonly Transaction[], states: Readonly<Record<Table, TableState>>): Promise<Written> {
    const rules = { filter: 0, nat: 0, mangle: 0 }
    let chains = 0
    let bytes = 0
    for (const { table, text, writes, removes } of transactions) {
      const state = states[table]
      try {
        await this.#iptables.restore(this.family, text)
      } catch (error) {
        for (const chain of [...writes.keys(), ...removes]) state.doubt(chain)
        throw error
      }
      for (const chain of removes) state.learnGone(chain)
      for (const [chain, written] of writes) {
        state.learn(chain, written)
        rules[table] += written.length
      }
      chains += writes.size + removes.length
      bytes += text.length
    }
    return { chains, rules, restores: transactions.length, bytes }
  }

  /**
   * A chain that still reads otherwise right after we wrote it is as we want it, in this iptables' own words: or it
   * would be repaired for ever.
   */
  async #learnSpellings(table: Table, written: readonly string[], rules: ReadonlyMap<string, Rules>): Promise<void> {
    for (const chain of written.slice(0, 20)) {
      const wanted = rules.get(chain)
      const printed = await this.#rulesIn(table, chain)
      if (
        wanted === undefined ||
        printed === undefined ||
        printed.length !== wanted.length ||
        areSameRules(wanted, printed)
      )
        continue
      const example = wanted.findIndex((rule, i) => !isSameRule(rule, printed[i] ?? ''))
      this.#log.info({ rule: wanted[example], printed: printed[example] }, 'this iptables prints a rule in its own way')
      this.#states[table].spelled(chain, printed)
    }
  }

  async #rulesIn(table: Table, chain: string): Promise<Rules | undefined> {
    const lines = await this.#iptables.rulesOf(this.family, table, chain)
    return lines?.filter((line) => line.startsWith('-A ')).map((line) => line.slice(`-A ${chain} `.length))
  }
}

/** A flush of either table, or of the chains that every packet passes, shows in these. */
const rootChains = [
  { table: 'filter', chain: 'KUBE-FORWARD' },
  { table: 'nat', chain: 'KUBE-POSTROUTING' },
  { table: 'nat', chain: 'KUBE-MARK-MASQ' },
  { table: 'nat', chain: 'KUBE-SERVICES' },
] as const

const empty: TableInput = { write: new Map(), remove: [], applied: new Map(), jumps: [] }

/** Of table filter the plan asks what chains hold: those are few. */
function newStates(): Readonly<Record<Table, TableState>> {
  return {
    filter: new TableState({ keepsText: true }),
    nat: new TableState(),
    mangle: new TableState({ keepsText: true }),
  }
}
