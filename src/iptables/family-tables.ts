// The rules of one owner (owner.ts) in one address family: knows what the tables hold, writes what differs, and finds
// drift, which is any difference that another program has made.
//
// want/unwant say what the tables should hold. sync writes the difference to what they are known to hold, without reading.
// probe is a cheap check for drift; audit reads the tables and puts them right.
import type { Logger } from 'pino'
import { CommandError } from '../kernel/command-error.ts'
import type { Family } from '../net/address.ts'
import type { Iptables, IptablesTable } from './iptables.ts'
import type { Jump } from './jumps.ts'
import { type ObservedTable, observeTable } from './observe.ts'
import { placeKey, type Place, type RulesOwner } from './owner.ts'
import { NormalForms, ruleTexts } from './parse-rule.ts'
import { isWorthARestore, planPrewrite, planTransactions, type TableInput, type Transaction } from './plan.ts'
import { Prewriter } from './prewriter.ts'
import { appends, restoreText } from './restore-text.ts'
import { type Chains, formatRule, type Rule } from './rule.ts'
import { TableJumps } from './table-jumps.ts'
import { leftOver, type Lines, TableState } from './table-state.ts'
import { nothingWritten, sumWritten, type Written } from './written.ts'

/** Renders chains of a table again, of which only fingerprints are kept. */
export type Render = (table: IptablesTable, chains: ReadonlySet<string>) => Chains

export interface Audited {
  /** Chains and jumps that another program had changed: "nat FAIRLEAD-EGRESS", "filter FORWARD > FAIRLEAD-FORWARD". */
  readonly repaired: readonly string[]
  /** Rules that stood in chains of kind `set` and were not wanted, behind `-A CHAIN `. */
  readonly stray: readonly string[]
  readonly written: Written
}

/** The most chains that an audit reads back after it has written them. */
const mostReadBack = 20
/** The most chains and jumps that are named in one log line. */
const mostLogged = 20

interface Table {
  readonly table: IptablesTable
  readonly state: TableState
  readonly jumps: TableJumps
  /** The table has to be read before the next write: at the start, and where writes keep failing. */
  unread: boolean
  /** The first and the last rule of each root chain that is wanted. */
  readonly ends: Map<string, Lines>
}

/** Its async methods must not overlap. */
export class FamilyTables {
  readonly family: Family
  readonly #owner: RulesOwner
  readonly #iptables: Iptables
  readonly #log: Logger
  readonly #forms = new NormalForms()
  readonly #tables: readonly Table[]
  readonly #roots: ReadonlySet<string>
  readonly #prewriter = new Prewriter(async (chains) => this.#run(planPrewrite(chains)))
  #failures = 0

  constructor(parts: { family: Family; owner: RulesOwner; iptables: Iptables; log: Logger }) {
    this.family = parts.family
    this.#owner = parts.owner
    this.#iptables = parts.iptables
    this.#log = parts.log
    this.#roots = new Set(parts.owner.roots.map(placeKey))
    this.#tables = parts.owner.tables.map((table) => ({
      table,
      state: new TableState({ table, owner: parts.owner, forms: this.#forms }),
      jumps: new TableJumps({ table, owner: parts.owner, forms: this.#forms }),
      unread: true,
      ends: new Map(),
    }))
  }

  /** Returns the number of chains that a table should hold. */
  size(table: IptablesTable): number {
    return this.#table(table).state.size
  }

  /** Whether the kernel is known to hold nothing of the owner, and nothing is wanted. */
  get isEmpty(): boolean {
    return this.isRead && this.#wantsNothing && this.#tables.every(({ state }) => state.held().next().done === true)
  }

  /** Whether the content of every table is known. */
  get isRead(): boolean {
    return this.#tables.every(({ unread }) => !unread)
  }

  get #wantsNothing(): boolean {
    return this.#tables.every(({ state, jumps }) => state.size + jumps.wanted.length === 0)
  }

  /** Returns what chains hold that are not as wanted, as far as its text is known: at the start, all that were found. */
  held(table: IptablesTable): Iterable<readonly [chain: string, lines: Lines]> {
    return this.#table(table).state.heldText()
  }

  want(table: IptablesTable, chains: Iterable<readonly [chain: string, rules: readonly Rule[]]>): void {
    const { state, ends } = this.#table(table)
    for (const [chain, rules] of chains) {
      state.want(chain, rules)
      if (this.#roots.has(placeKey({ table, chain })))
        ends.set(
          chain,
          [...new Set([rules[0], rules.at(-1)])].flatMap((rule) => (rule ? [formatRule(rule)] : [])),
        )
    }
  }

  unwant(table: IptablesTable, chains: Iterable<string>): void {
    const { state, ends } = this.#table(table)
    for (const chain of chains) {
      state.unwant(chain)
      ends.delete(chain)
    }
  }

  /** Wants these jumps and no others. Takes effect with the next {@link adopt} or {@link audit}. */
  wantJumps(jumps: readonly Jump[]): void {
    for (const each of this.#tables) each.jumps.want(jumps.filter(({ table }) => table === each.table))
  }

  /** Reads the tables whose content is not known. @throws {CommandError} */
  async adopt(render: Render): Promise<void> {
    for (const each of this.#tables) if (each.unread) await this.#read(each, render)
  }

  /**
   * Begins to write chains of table nat that do not exist yet, and that no rule therefore leads to, once there are enough
   * for a restore. It does not wait for the end of the restore, and does nothing where a restore costs as much as the
   * whole table. Never rejects: {@link sync} reports a failure.
   */
  async prewrite(): Promise<void> {
    const { state } = this.#table('nat')
    if (isWorthARestore(await this.#iptables.backend(), state.freshCount - this.#prewriter.size))
      await this.#prewriter.begin(state.fresh())
  }

  /**
   * Writes the difference between what the tables are known to hold and what they should hold. What fails is tried again
   * by the next call.
   * @throws {CommandError}
   */
  async sync(render: Render): Promise<Written> {
    // Two restores that fail side by side count as one failure.
    const prewritten = this.#prewriter.hasBegun ? await this.#counted(this.#prewriter.finish()) : []
    await this.adopt(render)
    return sumWritten([...prewritten, await this.#write()])
  }

  /** Returns what {@link sync} would write, without writing it. @throws {CommandError} */
  async preview(render: Render): Promise<ReadonlyMap<IptablesTable, TableInput>> {
    await this.adopt(render)
    return this.#inputs()
  }

  /** Reads tables and puts them right. @param tables all of them where not given @throws {CommandError} */
  async audit(render: Render, tables: readonly IptablesTable[] = this.#owner.tables): Promise<Audited> {
    const repaired: string[] = []
    for (const each of this.#tables)
      if (each.unread || tables.includes(each.table)) repaired.push(...(await this.#read(each, render)))
    const inputs = this.#inputs()
    const written = await this.#write(inputs)
    if (repaired.length > 0)
      this.#log.warn(
        {
          owner: this.#owner.name,
          family: this.family,
          rules: repaired.slice(0, mostLogged),
          count: repaired.length,
        },
        'rules had been changed by another program: repaired',
      )
    for (const each of this.#tables) {
      const input = inputs.get(each.table)
      if (input !== undefined && tables.includes(each.table)) await this.#readBack(each, input)
    }
    return { repaired, stray: this.#stray(inputs), written }
  }

  /**
   * Checks the jumps, and the first and last rule of each root chain. Costs one process; on legacy that process reads the
   * tables. Returns true where nothing is known, because an audit is due then anyway.
   * @throws {CommandError}
   */
  async probe(): Promise<boolean> {
    const rules = this.#tables.flatMap(({ table, jumps, ends }) => [
      ...jumps.wanted.map(({ base, rule }) => ({ table, rule: appends(base, formatRule(rule)) })),
      ...[...ends].flatMap(([chain, lines]) => lines.map((line) => ({ table, rule: appends(chain, line) }))),
    ])
    if (rules.length === 0 || !this.isRead) return true
    return this.#iptables.hasRules(this.family, rules)
  }

  /**
   * Removes every chain and jump of the owner and nothing else. Afterwards nothing is wanted.
   * @throws {CommandError}
   */
  async clean(): Promise<Written> {
    for (const { state, ends } of this.#tables) {
      for (const chain of state.wanted()) state.unwant(chain)
      ends.clear()
    }
    this.wantJumps([])
    return (await this.audit(renderNothing)).written
  }

  /** Returns the chains and jumps that are not as we had left them. */
  async #read(of: Table, render: Render): Promise<string[]> {
    const { table, state } = of
    const { chains, bases } = await this.#observe(of)
    const gone = [...state.held()].filter((chain) => !chains.has(chain))
    const different = [...chains].flatMap(([chain, lines]) => (lines === undefined ? [] : [[chain, lines] as const]))
    const settled = [...gone, ...different.map(([chain]) => chain)].filter((chain) => state.isSettled(chain))
    for (const chain of gone) state.learnGone(chain)
    for (const [chain, lines] of different) state.learn(chain, lines)
    if (state.unrendered.size > 0)
      for (const [chain, rules] of render(table, state.unrendered)) state.want(chain, rules)
    const drifted = settled
      .filter((chain) => !state.isSettled(chain))
      .map((chain) => placeKey({ table, chain }))
      .concat(of.jumps.compare(bases))
    // A table that was never read, we have not left in any state.
    const { unread } = of
    of.unread = false
    return unread ? [] : drifted
  }

  /** A node without ip6tables has no IPv6 rules to take away. */
  async #observe({ table, state }: Table): Promise<ObservedTable> {
    const where = { family: this.family, table }
    try {
      return await observeTable(this.#iptables, this.#owner, where, (chain, print) => state.agrees(chain, print))
    } catch (error) {
      const isMissing = error instanceof CommandError && error.kind === 'not-installed'
      if (!isMissing || !this.#wantsNothing) throw error
      return { chains: new Map(), bases: new Map() }
    }
  }

  #stray(inputs: ReadonlyMap<IptablesTable, TableInput>): string[] {
    return [...inputs].flatMap(([table, { edit, remove, applied }]) => {
      const isSet = (chain: string): boolean => this.#owner.kindOf(table, chain) === 'set'
      return [
        ...[...edit].flatMap(([chain, { deletes }]) => (isSet(chain) ? deletes : [])),
        ...remove.flatMap((chain) => (isSet(chain) ? (applied.get(chain) ?? []) : [])),
      ]
    })
  }

  #inputs(): ReadonlyMap<IptablesTable, TableInput> {
    return new Map(
      this.#tables.map(({ table, state, jumps }) => [table, { ...state.difference(), jumps: jumps.edits }]),
    )
  }

  async #write(inputs = this.#inputs()): Promise<Written> {
    const transactions = planTransactions(await this.#iptables.backend(), inputs, this.#owner)
    if (transactions.length === 0) return nothingWritten
    const written = await this.#counted(this.#run(transactions))
    for (const { jumps } of this.#tables) jumps.written()
    return written
  }

  async #counted<T>(writing: Promise<T>): Promise<T> {
    try {
      const written = await writing
      this.#failures = 0
      return written
    } catch (error) {
      // Without the program the kernel has said nothing, and reading would not help.
      if (!(error instanceof CommandError && error.kind === 'not-installed')) this.#failures += 1
      // Once may be chance. Twice: the kernel does not hold what we believe, such as a chain that a rule of ours leads
      // to.
      if (this.#failures > 1) for (const each of this.#tables) each.unread = true
      throw error
    }
  }

  async #run(transactions: readonly Transaction[]): Promise<Written> {
    const rules = { ...nothingWritten.rules }
    let chains = 0
    let bytes = 0
    for (const { table, text, writes, removes } of transactions) {
      const { state } = this.#table(table)
      try {
        await this.#iptables.restore(this.family, text)
      } catch (error) {
        for (const chain of [...writes.keys(), ...removes]) state.doubt(chain)
        throw error
      }
      for (const chain of removes) state.learnGone(chain)
      for (const [chain, lines] of writes) {
        state.learn(chain, lines)
        rules[table] += lines.length
      }
      chains += writes.size + removes.length
      bytes += text.length
    }
    return { chains, rules, restores: transactions.length, bytes }
  }

  /**
   * Reads what was just written. A chain that reads differently right after we wrote it is as we want it, in this
   * iptables' own words; without this it would be repaired for ever. And jumps of another program, behind which ours must
   * stand, may have come between our read and our write: at a start Services and the pod network are written at the same
   * time.
   */
  async #readBack(of: Table, { write, edit, jumps }: TableInput): Promise<void> {
    const { table, state } = of
    for (const chain of [...write.keys(), ...edit.keys()].slice(0, mostReadBack)) {
      const wanted = (write.get(chain) ?? edit.get(chain))?.lines ?? []
      const printed = await this.#linesOf({ table, chain })
      if (printed === undefined) continue
      const inOrder = this.#owner.kindOf(table, chain) === 'sequence'
      this.#learn(inOrder ? { missing: wanted, surplus: printed } : leftOver(this.#forms, wanted, printed))
      if (state.isSame(chain, wanted, printed)) state.printedAs(chain, printed)
    }
    if (this.#owner.jumpsBehind === undefined || jumps.keys.length === 0) return
    for (const base of this.#owner.bases.filter((place) => place.table === table)) {
      const printed = await this.#linesOf(base)
      if (printed === undefined) continue
      const wanted = of.jumps.wanted.filter((jump) => jump.base === base.chain).map(({ rule }) => formatRule(rule))
      const own = printed.filter((rule) => this.#owner.ownsJump(base, rule))
      this.#learn(leftOver(this.#forms, wanted, own))
      const again = of.jumps.editsOf(base.chain, printed)
      // A jump that is no longer wanted, and that could not be removed, is left to the next audit.
      if (again.inserts.length > 0)
        await this.#iptables.restore(
          this.family,
          restoreText([{ table, declare: [], lines: [...again.deletes, ...again.inserts] }]),
        )
    }
  }

  /** Both in the order of the chain. Unequal numbers are another program's doing, which the next audit finds. */
  #learn({ missing, surplus }: { missing: Lines; surplus: Lines }): void {
    if (missing.length !== surplus.length) return
    for (const [i, written] of missing.entries()) {
      const printed = surplus[i] ?? written
      if (this.#forms.learn(written, printed))
        this.#log.info(
          { written, printed },
          'iptables prints a rule differently than we wrote it; treating both as equal',
        )
    }
  }

  async #linesOf({ table, chain }: Place): Promise<Lines | undefined> {
    const lines = await this.#iptables.rulesOf(this.family, table, chain)
    return lines && ruleTexts(lines)
  }

  #table(table: IptablesTable): Table {
    const found = this.#tables.find((each) => each.table === table)
    if (found === undefined) throw new RangeError(`Expected a table of ${this.#owner.name}, got ${table}`)
    return found
  }
}

const renderNothing: Render = () => new Map()
