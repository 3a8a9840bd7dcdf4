// Looks every 1.5 s at what changes without an event: nobody tells of iptables rules that are flushed, nor of files
// that are removed.
//
// Of rules a look asks first whether anybody has written at all, which costs half a millisecond; to read those that
// matter costs 4 ms, and on legacy as much as the tables are long. Where looks take longer, the period stretches, so
// that they stay below 1 % of a core.
import { setTimeout as sleep } from 'node:timers/promises'

export interface PatrolOptions {
  /** One look. @returns whether all was as it should be. */
  readonly look: () => Promise<boolean>
  /** Called when it was not. */
  readonly onDamage: () => void
  /** ms; how often everything is compared anyway. */
  readonly longestMs: number
  readonly shortestMs?: number
  /** ms that only go forward; sleep ends early with the signal. */
  readonly clock?: { now(): number; sleep(ms: number, signal: AbortSignal): Promise<void> }
}

const steady: NonNullable<PatrolOptions['clock']> = {
  now: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
}

const costShare = 100
/** The quickest of so many looks is what one costs: a busy machine makes any single one slow. */
const remembered = 8

/** Looks until the signal. @throws what a look throws. */
export async function patrol(
  { look, onDamage, longestMs, shortestMs = 1500, clock = steady }: PatrolOptions,
  signal: AbortSignal,
): Promise<void> {
  let damaged = 0
  let costs: number[] = []
  while (!signal.aborted) {
    // What is still damaged after it was told of is the pass's to report: asking for ever more of them would not mend
    // it.
    const patience = shortestMs * 2 ** Math.max(damaged - 1, 0)
    const affordable = costs.length === 0 ? 0 : Math.min(...costs) * costShare
    await clock.sleep(Math.min(Math.max(patience, affordable), Math.max(longestMs, shortestMs)), signal)
    if (signal.aborted) return
    const begin = clock.now()
    const fine = await look()
    costs = [...costs, clock.now() - begin].slice(-remembered)
    damaged = fine ? 0 : damaged + 1
    if (!fine) onDamage()
  }
}
