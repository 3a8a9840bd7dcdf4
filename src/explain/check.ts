// The result of one check of `fairlead doctor`.
import type { NodeFacts } from './node-facts.ts'

export interface Check {
  readonly name: string
  /** The symptom that people notice when the check fails. */
  readonly seenAs: string
  /** Empty when the check passed. */
  readonly findings: readonly Finding[]
  /** A remark for a check that passed. */
  readonly note?: string
  /** Why the check was skipped; undefined when it ran. */
  readonly skipped?: string
}

export interface Finding {
  /** What is wrong, and where. */
  readonly problem: string
  /** What to do. */
  readonly remedy: string
}

/** A check: a pure function from facts to findings. */
export type Examine = (facts: NodeFacts) => Check

export const withoutAgent = 'the agent did not answer'
