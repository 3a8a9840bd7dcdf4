// Events about what is wrong for as long as it lasts: recorded when it becomes so, and again now and then, since the
// API server forgets an Event an hour after its last change.
import { type Clock, systemClock } from '../runtime/clock.ts'
import type { EventSink } from '../cluster/event.ts'
import type { Problem } from '../cluster/problem.ts'

const repeatMs = 1_200_000

export class StandingEvents {
  readonly #events: EventSink
  readonly #clock: Pick<Clock, 'now'>
  /** By topic and sentence: when it was recorded last, ms since the epoch. */
  readonly #recorded = new Map<string, ReadonlyMap<string, number>>()

  constructor(events: EventSink, clock: Pick<Clock, 'now'> = systemClock) {
    this.#events = events
    this.#clock = clock
  }

  /**
   * Records those that are new, and those that were recorded 20 minutes ago. To be called whenever the topic was looked
   * at.
   * @param problems all that is wrong with the topic now; those without an Event are passed over
   */
  say(topic: string, problems: readonly Problem[]): void {
    const now = this.#clock.now()
    const before = this.#recorded.get(topic)
    const standing = new Map<string, number>()
    for (const { sentence, event } of problems) {
      if (event === undefined) continue
      const at = before?.get(sentence)
      const due = at === undefined || now - at >= repeatMs
      if (due) this.#events.record({ type: 'Warning', note: sentence, ...event })
      standing.set(sentence, due ? now : at)
    }
    this.#recorded.set(topic, standing)
  }
}
