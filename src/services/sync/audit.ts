// When which table is looked at, to find what another program has flushed, deleted or changed.
//
// Nobody tells us: flushing iptables makes no event that could be had cheaply. So the chains that everything hangs from are looked at every 2 s, and all of table nat
// every 25 s. With legacy a look at one chain reads the whole table, so there we look at all of it at once. Above 6,000 chains (1,000 Services with 3 endpoints have
// about that many) the periods stretch until looking costs less than 0.4 % of a core.
import type { IptablesBackend } from '../../kernel/kernel.ts'
import type { FamilyTables, Written } from './apply.ts'
import type { Table } from './ours.ts'

export interface AuditResult {
  /** Chains and jumps that were not as we had left them: "nat KUBE-SVC-...". */
  readonly repaired: readonly string[]
  readonly written: readonly Written[]
}

interface Look {
  readonly table: Table
  readonly depth: 'roots' | 'whole'
  /** ms between two looks at a table of ordinary size. */
  readonly period: number
  due: number
  /** ms that the last look took. */
  cost: number
}

const ordinaryChains = 6000
/** A look of 20 ms every 5 s is 0.4 %. */
const restPerCost = 250
const longestPeriod = 600_000

export class Audit {
  readonly #tables: FamilyTables
  readonly #looks: readonly Look[]
  readonly #now: () => number

  constructor(parts: { tables: FamilyTables; backend: IptablesBackend; now: () => number }) {
    this.#tables = parts.tables
    this.#now = parts.now
    const look = (table: Table, depth: Look['depth'], period: number): Look => ({ table, depth, period, due: parts.now() + period, cost: 0 })
    const nat = parts.backend === 'nft' ? [look('nat', 'roots', 2000), look('nat', 'whole', 25_000)] : [look('nat', 'whole', 2000)]
    this.#looks = [look('mangle', 'roots', 2000), look('filter', 'whole', 2000), ...nat]
  }

  /** When the next look is due, on the clock that was given. */
  get due(): number {
    return Math.min(...this.#looks.map(({ due }) => due))
  }

  /** ms from one look at every rule to the next: how long a single changed rule may stay. */
  get period(): number {
    return Math.max(...this.#looks.map((look) => this.#periodOf(look)))
  }

  /** Looks at what is due, and mends what is not as it should be. @throws {CommandError} */
  async run(): Promise<AuditResult> {
    const repaired: string[] = []
    const written: Written[] = []
    for (const look of this.#looks.filter(({ due }) => due <= this.#now())) {
      const begin = this.#now()
      const result = await this.#look(look)
      look.cost = this.#now() - begin
      look.due = this.#now() + this.#periodOf(look)
      repaired.push(...result.repaired)
      written.push(...result.written)
    }
    return { repaired, written }
  }

  async #look({ table, depth }: Look): Promise<AuditResult> {
    if (depth === 'roots' && (await this.#tables.looksWhole(table))) return { repaired: [], written: [] }
    const { repaired, written } = await this.#tables.audit(table)
    return { repaired: repaired.map((what) => `${table} ${what}`), written: [written] }
  }

  #periodOf({ table, period, cost }: Look): number {
    return this.#tables.size(table) <= ordinaryChains ? period : Math.min(longestPeriod, Math.max(period, cost * restPerCost))
  }
}
