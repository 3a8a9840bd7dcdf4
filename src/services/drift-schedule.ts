// When the rules of Services are checked for what other programs have flushed, deleted or changed.
//
// No event tells of it. The probe (jumps and root chains) is due every 2 s and costs one process; the audit (every rule
// of every table) is due each 25 s. Neither reads anything while the kernel reports that no other program has written
// since the last check, which costs the same however many rules there are. (Legacy does not report a single rule that was
// replaced, so audits happen there all the same.) After a foreign write that the probe finds harmless, the audit follows
// within 2 s, unless that would cost more than a hundredth of a core. Above 6,000 chains (1,000 Services with 3 endpoints
// have about that many) a check rests after it was made, so that it costs a small share of a core even where others write
// all the time: legacy reads the whole table whatever is asked, and nft takes seconds to print tens of thousands of
// chains.
import type { Audited, FamilyTables, Render } from '../iptables/family-tables.ts'
import type { Iptables, IptablesTable } from '../iptables/iptables.ts'
import type { Written } from '../iptables/written.ts'
import { servicesOwner } from './owner.ts'

export interface AuditResult {
  /** Chains and jumps that another program had changed: "nat KUBE-SVC-...". */
  readonly repaired: readonly string[]
  readonly written: readonly Written[]
}

type Depth = 'probe' | 'audit'

interface Check {
  readonly depth: Depth
  /** ms from one decision whether to check to the next. */
  readonly period: number
  due: number
  /** ms that the last check took. */
  cost: number
  /** No check before. */
  restsUntil: number
  /** The number of foreign writes when it last found no drift. */
  wellAt: number | undefined
}

/** The tables that are checked. */
export interface CheckedTables {
  size(table: IptablesTable): number
  probe(): Promise<boolean>
  audit(table: IptablesTable): Promise<Audited>
  /** Returns how often other programs have written, as far as that tells whether a check of that depth is needed. */
  foreignWrites(depth: Depth): Promise<number | undefined>
}

export function checkedTables(
  { tables, render }: { tables: FamilyTables; render: Render },
  iptables: Pick<Iptables, 'backend' | 'foreignWrites'>,
): CheckedTables {
  return {
    size: (table) => tables.size(table),
    probe: async () => tables.probe(),
    audit: async (table) => tables.audit(render, [table]),
    foreignWrites: async (depth) =>
      depth === 'audit' && (await iptables.backend()) === 'legacy' ? undefined : iptables.foreignWrites(),
  }
}

const ordinaryChains = 6000

interface Rest {
  /** As a multiple of what the check took. */
  readonly times: number
  /** ms of it that may be owed. */
  readonly owed: number
}

/** After a check that is made again and again, with a reason or without one. */
const blind: Rest = { times: 1000, owed: 0 }
/**
 * After a check for which there was a foreign write: a few of these in a row are each checked at once, and a machine that
 * is busy for a moment does not make us blind.
 */
const told: Rest = { times: 100, owed: 600_000 }
const longestRest = 1_200_000
const longAgo = Number.NEGATIVE_INFINITY

export class DriftSchedule {
  readonly #tables: CheckedTables
  readonly #probe: Check
  readonly #audit: Check
  readonly #now: () => number
  /** The audit is not hurried before. */
  #hurryFrom = longAgo

  /**
   * @param parts.now ms since the epoch
   * @param parts.syncCost ms that the first sync took: the estimate of an audit's cost until there was one
   */
  constructor(parts: { tables: CheckedTables; now: () => number; syncCost: number }) {
    this.#tables = parts.tables
    this.#now = parts.now
    const begin = parts.now()
    const check = (depth: Depth, period: number, cost: number, restsUntil: number): Check => ({
      depth,
      period,
      cost,
      due: begin + period,
      restsUntil,
      wellAt: undefined,
    })
    this.#probe = check('probe', 2000, 0, longAgo)
    this.#audit = check('audit', 25_000, parts.syncCost, begin + this.#restOf(parts.syncCost, blind))
  }

  /** When to {@link run}, on the clock that was given. */
  get due(): number {
    return Math.min(this.#probe.due, this.#audit.due)
  }

  /** ms from one audit to the next: how long a single changed rule may stay. */
  get period(): number {
    return Math.max(this.#audit.period, this.#restOf(this.#audit.cost, blind))
  }

  /** Makes the check that is due, or an audit, and repairs what has drifted. @throws {CommandError} */
  async run(everything: boolean): Promise<AuditResult> {
    const now = this.#now()
    if (everything) return this.#runAudit(await this.#tables.foreignWrites('audit'))
    const check = [this.#audit, this.#probe].find(({ due }) => due <= now)
    if (check === undefined) return noDrift
    check.due = now + check.period
    if (now < check.restsUntil) return noDrift
    const writes = await this.#tables.foreignWrites(check.depth)
    if (writes !== undefined && writes === check.wellAt) return noDrift
    return check.depth === 'audit' || !(await this.#runProbe(writes)) ? this.#runAudit(writes) : noDrift
  }

  async #runProbe(writes: number | undefined): Promise<boolean> {
    const check = this.#probe
    const well = await this.#timed(check, writes === undefined ? blind : told, async () => this.#tables.probe())
    if (well) {
      if (writes !== undefined && check.wellAt !== undefined) this.#hurryAudit()
      check.wellAt = writes
    } else check.restsUntil = longAgo // What was damaged may be damaged again.
    return well
  }

  /** A foreign write that left the roots alone may have changed any other rule. */
  #hurryAudit(): void {
    const now = this.#now()
    if (now < this.#hurryFrom) return
    this.#hurryFrom = Math.max(this.#hurryFrom, now - told.owed) + this.#audit.cost * told.times
    this.#audit.due = Math.min(this.#audit.due, now)
  }

  /** @param writes the number of foreign writes before it */
  async #runAudit(writes: number | undefined): Promise<AuditResult> {
    const check = this.#audit
    const results = await this.#timed(check, blind, async () => {
      const results: Audited[] = []
      for (const table of servicesOwner.tables) results.push(await this.#tables.audit(table))
      return results
    })
    if (writes !== undefined) check.wellAt = this.#probe.wellAt = writes
    return {
      repaired: results.flatMap(({ repaired }) => repaired),
      written: results.map(({ written }) => written),
    }
  }

  async #timed<T>(check: Check, rest: Rest, work: () => Promise<T>): Promise<T> {
    const begin = this.#now()
    const result = await work()
    const end = this.#now()
    check.cost = end - begin
    check.due = end + check.period
    check.restsUntil = Math.min(Math.max(check.restsUntil, end - rest.owed), end) + this.#restOf(check.cost, rest)
    return result
  }

  #restOf(cost: number, { times }: Rest): number {
    return this.#tables.size('nat') <= ordinaryChains ? 0 : Math.min(longestRest, cost * times)
  }
}

const noDrift: AuditResult = { repaired: [], written: [] }
