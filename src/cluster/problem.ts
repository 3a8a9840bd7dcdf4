// Something wrong with an object of the API server: logged once, counted by its reason for as long as it lasts, and
// reported on the object by an Event.
import type { ClusterEvent } from './event.ts'

export interface Problem {
  /** What, where, and what was done about it or is to be done. */
  readonly sentence: string
  /** A few words with dashes, the same for all problems of a sort: the label of a metric. */
  readonly reason: string
  /** The Event that reports it, a Warning with the sentence as its note; undefined where it is only logged. */
  readonly event?: Pick<ClusterEvent, 'regarding' | 'reason' | 'action' | 'everyNode'>
}

/** Takes the parts of a {@link Problem}; where no reason is given, a part of the object was left out. */
export type Report = (sentence: string, reason?: string) => void
