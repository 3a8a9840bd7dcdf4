// Events are kept for an hour, as the real server does (--event-ttl): they tell what happened lately.
import { textAt } from './kube-object.ts'
import type { Table } from './store.ts'

const keptMs = 3_600_000
const sweepMs = 60_000

/** Removes old events from now on, until the function it returns is called. */
export function keepEventsForAnHour(events: Table): () => void {
  const sweep = setInterval(() => dropOldEvents(events, Date.now()), sweepMs).unref()
  return () => clearInterval(sweep)
}

/** @param now ms since the epoch. */
export function dropOldEvents(events: Table, now: number): void {
  for (const stored of events.list()) {
    const last =
      textAt(stored.object, 'series.lastObservedTime') ||
      textAt(stored.object, 'lastTimestamp') ||
      textAt(stored.object, 'eventTime') ||
      stored.object.metadata.creationTimestamp
    if (last !== undefined && now - Date.parse(last) > keptMs) events.remove(stored)
  }
}
