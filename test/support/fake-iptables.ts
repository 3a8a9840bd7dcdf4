// iptables in memory: takes texts for iptables-restore apart as the real one does, and refuses what that refuses. The
// suite in iptables-conformance.ts runs on it and on both real backends.
import type { Iptables, IptablesBackend, IptablesTable, TableRule } from '../../src/iptables/iptables.ts'
import { normalForm, parseRule, splitLine } from '../../src/iptables/parse-rule.ts'
import { formatRule } from '../../src/iptables/rule.ts'
import { CommandError, type FailureKind } from '../../src/kernel/command-error.ts'
import type { Family } from '../../src/net/address.ts'

const builtIn: Readonly<Record<IptablesTable, readonly string[]>> = {
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  raw: ['PREROUTING', 'OUTPUT'],
}
const targets =
  /^(ACCEPT|DROP|RETURN|REJECT|DNAT|SNAT|MASQUERADE|REDIRECT|MARK|LOG|NFLOG|CONNMARK|TCPMSS|CT|NOTRACK|CHECKSUM)$/

/** Chain -> its rules as printed, behind `-A CHAIN `. */
type HeldChains = Map<string, string[]>

export class FakeIptables implements Iptables {
  readonly #tables = new Map<string, HeldChains>()
  readonly #backend: IptablesBackend
  /** Every text that was given to {@link restore}, those that failed included. */
  readonly restores: string[] = []
  /** How this version prints a rule that was given as the text. */
  print = (rule: string): string => rule
  /** Each restore waits for it. */
  gate: Promise<void> = Promise.resolve()
  /** While set, each restore fails with it. */
  failure: Error | undefined
  /** Reads of a chain or a table, and checks of rules. */
  reads = 0
  probes = 0
  /** The number of foreign writes; undefined for a kernel that does not count them. */
  writes: number | undefined = 0

  constructor({ backend = 'nft' }: { backend?: IptablesBackend } = {}) {
    this.#backend = backend
  }

  /** Returns a chain's rules behind `-A CHAIN `; undefined where there is no such chain. */
  held(family: Family, table: IptablesTable, chain: string): readonly string[] | undefined {
    return this.#chains(family, table).get(chain)
  }

  /** Returns all chains of all tables that hold rules or are not built in: "4 nat FAIRLEAD-EGRESS" -> rules. */
  get all(): ReadonlyMap<string, readonly string[]> {
    return new Map(
      [...this.#tables].flatMap(([key, chains]) =>
        [...chains]
          .filter(([chain, rules]) => rules.length > 0 || !isBuiltIn(key.split(' ')[1] as IptablesTable, chain))
          .map(([chain, rules]) => [`${key} ${chain}`, rules] as const),
      ),
    )
  }

  /** Changes a chain as another program would. @param rules undefined: removes it */
  change(family: Family, table: IptablesTable, chain: string, rules: readonly string[] | undefined): void {
    const chains = this.#chains(family, table)
    if (rules === undefined) chains.delete(chain)
    else chains.set(chain, [...rules])
    this.countForeignWrite()
  }

  /** Removes everything, as a reboot would. */
  clear(): void {
    this.#tables.clear()
    this.countForeignWrite()
  }

  countForeignWrite(): void {
    if (this.writes !== undefined) this.writes += 1
  }

  async backend(): Promise<IptablesBackend> {
    return this.#backend
  }

  async restore(family: Family, text: string): Promise<void> {
    this.restores.push(text)
    await this.gate
    if (this.failure !== undefined) throw this.failure
    this.#run(family, text)
  }

  async rulesOf(
    family: Family,
    table: IptablesTable,
    chain: string,
    { counters = false } = {},
  ): Promise<readonly string[] | undefined> {
    this.reads += 1
    const rules = this.held(family, table, chain)
    if (rules === undefined) return undefined
    const first = isBuiltIn(table, chain) ? `-P ${chain} ACCEPT` : `-N ${chain}`
    return [first, ...rules.map((rule) => `-A ${chain} ${counters ? withCounters(rule) : rule}`)]
  }

  async readTable(family: Family, table: IptablesTable, seen: (line: string) => void): Promise<void> {
    this.reads += 1
    const chains = [...this.#chains(family, table)]
    for (const [chain] of chains) seen(`:${chain} ${isBuiltIn(table, chain) ? 'ACCEPT' : '-'} [0:0]`)
    for (const [chain, rules] of chains) for (const rule of rules) seen(`-A ${chain} ${rule}`)
  }

  async hasRules(family: Family, rules: readonly TableRule[]): Promise<boolean> {
    this.probes += 1
    return rules.every(({ table, rule: line }) => {
      const { chain = '', rule = '' } = splitLine(line) ?? {}
      return this.held(family, table, chain)?.some((held) => this.#isRule(held, rule)) === true
    })
  }

  async foreignWrites(): Promise<number | undefined> {
    return this.writes
  }

  async isInOtherBackend(): Promise<boolean> {
    return false
  }

  #chains(family: Family, table: IptablesTable): HeldChains {
    const key = `${family} ${table}`
    const chains = this.#tables.get(key) ?? new Map(builtIn[table].map((chain) => [chain, []]))
    this.#tables.set(key, chains)
    return chains
  }

  /** Each table takes effect at its COMMIT, whole or not at all. */
  #run(family: Family, text: string): void {
    if (!text.endsWith('\nCOMMIT\n')) throw refusal('usage', 'iptables-restore: COMMIT expected', text)
    let table: IptablesTable = 'filter'
    let draft: HeldChains = new Map()
    for (const line of text.trimEnd().split('\n')) {
      const [first = '', chain = ''] = line.split(' ')
      if (first.startsWith('*')) {
        table = first.slice(1) as IptablesTable
        draft = new Map([...this.#chains(family, table)].map(([name, rules]) => [name, [...rules]]))
      } else if (first.startsWith(':')) draft.set(first.slice(1), [])
      else if (first === 'COMMIT') this.#commit(`${family} ${table}`, draft)
      else this.#edit(draft, chain, line)
    }
  }

  #commit(key: string, draft: HeldChains): void {
    for (const [chain, rules] of draft) {
      if (chain.length > 28) throw refusal('usage', 'chain name too long (must be under 29 chars)', chain)
      for (const rule of rules) {
        const target = parseRule(rule).target?.name
        if (target !== undefined && !draft.has(target) && !targets.test(target))
          throw refusal('missing', 'No chain/target/match by that name', `-A ${chain} ${rule}`)
      }
    }
    this.#tables.set(key, draft)
  }

  #edit(draft: HeldChains, chain: string, line: string): void {
    const rules = draft.get(chain)
    if (rules === undefined) throw refusal('missing', 'No chain/target/match by that name', line)
    const verb = line.slice(0, 2)
    const rest = line.slice(`${verb} ${chain} `.length)
    switch (verb) {
      case '-A':
        rules.push(this.#printed(rest))
        return
      case '-I': {
        const [, position = '1', rule = ''] = /^(?:(\d+) )?(.*)$/.exec(rest) ?? []
        if (Number(position) > rules.length + 1) throw refusal('other', 'Index of insertion too big.', line)
        rules.splice(Number(position) - 1, 0, this.#printed(rule))
        return
      }
      case '-D': {
        const index = rules.findIndex((held) => this.#isRule(held, rest))
        if (index === -1) throw refusal('other', 'Bad rule (does a matching rule exist in that chain?).', line)
        rules.splice(index, 1)
        return
      }
      case '-X': {
        const isUsed = [...draft.values()].flat().some((rule) => parseRule(rule).target?.name === chain)
        if (isUsed || rules.length > 0) throw refusal('conflict', 'Device or resource busy', line)
        draft.delete(chain)
        return
      }
      default:
        throw refusal('usage', `unknown option "${verb}"`, line)
    }
  }

  #printed(rule: string): string {
    return this.print(formatRule(parseRule(rule)))
  }

  #isRule(held: string, rule: string): boolean {
    return held === rule || normalForm(parseRule(held)) === normalForm(parseRule(this.#printed(rule)))
  }
}

function isBuiltIn(table: IptablesTable, chain: string): boolean {
  return builtIn[table].includes(chain)
}

function withCounters(rule: string): string {
  return rule.replace(/(^| )(-[jg] \S+(?: --.*)?)$/, '$1-c 0 0 $2')
}

function refusal(kind: FailureKind, said: string, line: string): CommandError {
  return new CommandError({ kind, command: 'iptables-restore', stderr: `${said} [line: ${line}]` })
}
