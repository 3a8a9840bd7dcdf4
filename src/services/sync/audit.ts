// When the rules are looked at, to find what another program has flushed, deleted or changed.
//
// Nobody tells us of it. What everything hangs from is looked at every 2 s, in one process start, and every rule of
// every table each 25 s; neither where the kernel says that nobody else has written since all was found well, which
// costs the same however many rules there are (legacy does not say it of every single rule, so these are read all the
// same). Where it says that somebody has, every rule is looked at within 2 s, unless that would cost more than a
// hundredth of a core. Above 6,000 chains (1,000 Services with 3 endpoints have about that many) a look rests after it
// was made, so that even on a node where others write all the time it costs a small share of a core: legacy reads the
// whole table whatever is asked, nft takes seconds to print tens of thousands of chains.
import { type FamilyTables, tables } from './apply.ts'
import type { Written } from './written.ts'

export interface AuditResult {
  /** Chains and jumps that were not as we had left them: "nat KUBE-SVC-...". */
  readonly repaired: readonly string[]
  readonly written: readonly Written[]
}

type Depth = 'roots' | 'whole'

interface Look {
  readonly depth: Depth
  /** ms from asking whether to look to asking again. */
  readonly period: number
  due: number
  /** ms that the last look took. */
  cost: number
  /** Not made again before. */
  restsUntil: number
  /** How often others had written when it last found all well. */
  wellAt: number | undefined
}

/** What the looks ask of {@link FamilyTables}. */
export type AuditedTables = Pick<FamilyTables, 'audit' | 'foreignWrites' | 'looksWhole' | 'size'>

const ordinaryChains = 6000

interface Rest {
  /** So many times as long as the look took. */
  readonly times: number
  /** ms of it that may be owed. */
  readonly owed: number
}

/** Of a look that is made again and again, whether there is a reason or not. */
const blind: Rest = { times: 1000, owed: 0 }
/**
 * Of one that is made after somebody else has written: a few of these in a row are each looked after at once, and a
 * machine that is busy for a moment does not make us blind.
 */
const told: Rest = { times: 100, owed: 600_000 }
const longestRest = 1_200_000
const longAgo = Number.NEGATIVE_INFINITY

export class Audit {
  readonly #tables: AuditedTables
  readonly #roots: Look
  readonly #whole: Look
  readonly #now: () => number
  /** The look at every rule is not hurried before. */
  #hurryFrom = longAgo

  /**
   * @param parts.now ms since the epoch
   * @param parts.syncCost ms that the first sync took: until there was a look at every rule, it is taken to cost as
   * much
   */
  constructor(parts: { tables: AuditedTables; now: () => number; syncCost: number }) {
    this.#tables = parts.tables
    this.#now = parts.now
    const begin = parts.now()
    const look = (depth: Depth, period: number, cost: number, restsUntil: number): Look => ({
      depth,
      period,
      cost,
      due: begin + period,
      restsUntil,
      wellAt: undefined,
    })
    this.#roots = look('roots', 2000, 0, longAgo)
    this.#whole = look('whole', 25_000, parts.syncCost, begin + this.#restOf(parts.syncCost, blind))
  }

  /** When to {@link run}, on the clock that was given. */
  get due(): number {
    return Math.min(this.#roots.due, this.#whole.due)
  }

  /** ms from one look at every rule to the next: how long a single changed rule may stay. */
  get period(): number {
    return Math.max(this.#whole.period, this.#restOf(this.#whole.cost, blind))
  }

  /** Looks as deep as is due, or at everything, and mends what is not as it should be. @throws {CommandError} */
  async run(everything: boolean): Promise<AuditResult> {
    const now = this.#now()
    if (everything) return this.#lookAtAll(await this.#tables.foreignWrites('whole'))
    const look = [this.#whole, this.#roots].find(({ due }) => due <= now)
    if (look === undefined) return nothingFound
    look.due = now + look.period
    if (now < look.restsUntil) return nothingFound
    const writes = await this.#tables.foreignWrites(look.depth)
    if (writes !== undefined && writes === look.wellAt) return nothingFound
    return look.depth === 'whole' || !(await this.#rootsAreWell(writes)) ? this.#lookAtAll(writes) : nothingFound
  }

  async #rootsAreWell(writes: number | undefined): Promise<boolean> {
    const look = this.#roots
    const well = await this.#timed(look, writes === undefined ? blind : told, async () => this.#tables.looksWhole())
    if (well) {
      if (writes !== undefined && look.wellAt !== undefined) this.#hurryWhole()
      look.wellAt = writes
    } else look.restsUntil = longAgo // What was damaged may be damaged again.
    return well
  }

  /** Somebody has written, and not to what everything hangs from: then it may have been any other rule. */
  #hurryWhole(): void {
    const now = this.#now()
    if (now < this.#hurryFrom) return
    this.#hurryFrom = Math.max(this.#hurryFrom, now - told.owed) + this.#whole.cost * told.times
    this.#whole.due = Math.min(this.#whole.due, now)
  }

  /** @param writes how often others had written before */
  async #lookAtAll(writes: number | undefined): Promise<AuditResult> {
    const look = this.#whole
    const results = await this.#timed(look, blind, async () => {
      const results: { table: string; repaired: readonly string[]; written: Written }[] = []
      for (const table of tables) results.push({ table, ...(await this.#tables.audit(table)) })
      return results
    })
    const repaired = results.flatMap(({ table, repaired }) => repaired.map((what) => `${table} ${what}`))
    if (writes !== undefined) look.wellAt = this.#roots.wellAt = writes
    return { repaired, written: results.map(({ written }) => written) }
  }

  async #timed<T>(look: Look, rest: Rest, work: () => Promise<T>): Promise<T> {
    const begin = this.#now()
    const result = await work()
    const end = this.#now()
    look.cost = end - begin
    look.due = end + look.period
    look.restsUntil = Math.min(Math.max(look.restsUntil, end - rest.owed), end) + this.#restOf(look.cost, rest)
    return result
  }

  #restOf(cost: number, { times }: Rest): number {
    return this.#tables.size('nat') <= ordinaryChains ? 0 : Math.min(longestRest, cost * times)
  }
}

const nothingFound: AuditResult = { repaired: [], written: [] }
