// When the rules are looked at, to find what another program has flushed, deleted or changed.
//
// Nobody tells us of it. So what everything hangs from is looked at every 2 s, in one process start, and every rule of every table each 25 s. Above 6,000 chains (1,000
// Services with 3 endpoints have about that many) the periods stretch until looking costs no more than 0.1 % of a core each: legacy reads the whole table whatever
// is asked, nft takes seconds to print tens of thousands of chains.
import { type FamilyTables, tables, type Written } from './apply.ts'

export interface AuditResult {
  /** Chains and jumps that were not as we had left them: "nat KUBE-SVC-...". */
  readonly repaired: readonly string[]
  readonly written: readonly Written[]
}

interface Look {
  readonly depth: 'roots' | 'whole'
  /** ms between two looks at tables of ordinary size. */
  readonly period: number
  due: number
  /** ms that the last look took. */
  cost: number
}

const ordinaryChains = 6000
const restPerCost = 1000
const longestPeriod = 1_200_000

export class Audit {
  readonly #tables: FamilyTables
  readonly #looks: readonly Look[]
  readonly #now: () => number

  /** @param parts.now ms since the epoch @param parts.syncCost ms that the first sync took: until there was a look at every rule, it is taken to cost as much */
  constructor(parts: { tables: FamilyTables; now: () => number; syncCost: number }) {
    this.#tables = parts.tables
    this.#now = parts.now
    const look = (depth: Look['depth'], period: number, cost: number): Look => ({ depth, period, due: 0, cost })
    this.#looks = [look('roots', 2000, 0), look('whole', 25_000, parts.syncCost)]
    for (const each of this.#looks) each.due = parts.now() + this.#periodOf(each)
  }

  /** When the next look is due, on the clock that was given. */
  get due(): number {
    return Math.min(...this.#looks.map(({ due }) => due))
  }

  /** ms from one look at every rule to the next: how long a single changed rule may stay. */
  get period(): number {
    return Math.max(...this.#looks.map((look) => this.#periodOf(look)))
  }

  /** Looks as deep as is due, or at everything, and mends what is not as it should be. @throws {CommandError} */
  async run(whole: boolean): Promise<AuditResult> {
    const due = this.#looks.findLast((look) => (whole && look.depth === 'whole') || look.due <= this.#now())
    if (due === undefined) return nothingFound
    const begin = this.#now()
    const result = due.depth === 'roots' && (await this.#tables.looksWhole()) ? nothingFound : await this.#everything()
    due.cost = this.#now() - begin
    due.due = this.#now() + this.#periodOf(due)
    return result
  }

  async #everything(): Promise<AuditResult> {
    const results: { table: string; repaired: readonly string[]; written: Written }[] = []
    for (const table of tables) results.push({ table, ...(await this.#tables.audit(table)) })
    return { repaired: results.flatMap(({ table, repaired }) => repaired.map((what) => `${table} ${what}`)), written: results.map(({ written }) => written) }
  }

  #periodOf({ period, cost }: Look): number {
    return this.#tables.size('nat') <= ordinaryChains ? period : Math.min(longestPeriod, Math.max(period, cost * restPerCost))
  }
}

const nothingFound: AuditResult = { repaired: [], written: [] }
