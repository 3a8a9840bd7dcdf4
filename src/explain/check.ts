// What a check of `fairlead doctor` says.
import type { NodeFacts } from './node-facts.ts'

export interface Check {
  readonly name: string
  /** The trouble that people have where it fails. */
  readonly seenAs: string
  /** Empty where all is well. */
  readonly findings: readonly Finding[]
  /** What is worth knowing though all is well. */
  readonly note?: string
  /** Why it was not made; undefined where it was. */
  readonly skipped?: string
}

export interface Finding {
  /** What is wrong, and where. */
  readonly problem: string
  /** What to do. */
  readonly remedy: string
}

/** Pure: facts in, findings out. */
export type Examine = (facts: NodeFacts) => Check

export const withoutAgent = 'the agent did not answer'
