// Something wrong with an object of the API server: said in a log once, and counted by its reason for as long as it
// lasts.

export interface Problem {
  /** What, where, and what was done about it or is to be done. */
  readonly sentence: string
  /** A few words with dashes, the same for all problems of a sort: the label of a metric. */
  readonly reason: string
}

/** Takes the parts of a {@link Problem}; where no reason is given, a part of the object was left out. */
export type Report = (sentence: string, reason?: string) => void
