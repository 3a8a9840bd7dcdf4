// A problem with an object of the API server. It is logged once, counted by its reason as long as it lasts, and reported
// on the object by an Event.
import type { ClusterEvent } from './event.ts'

export interface Problem {
  /** What is wrong, where, and what was done or has to be done about it. */
  readonly sentence: string
  /** The label of a metric: a few words with dashes, the same for all problems of a kind. */
  readonly reason: string
  /** The Event that reports it: a Warning with the sentence as its note. Undefined when the problem is only logged. */
  readonly event?: Pick<ClusterEvent, 'regarding' | 'reason' | 'action' | 'everyNode'>
}

/** Reports a {@link Problem}. Without a reason it means that a part of the object was left out. */
export type Report = (sentence: string, reason?: string) => void
