// Judges the answers to many requests: who answered, whether none did, and whether they are evenly spread.
import type { AnswerCounts } from './tour.ts'

export function countsByPod({ answers }: AnswerCounts): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { pod, count } of answers) counts.set(pod, (counts.get(pod) ?? 0) + count)
  return counts
}

/** Formats "tour-a 1003, tour-b 997 answered, seeing 172.30.1.2; 1 failed (connect ECONNREFUSED ...)". */
export function answerSummary(counts: AnswerCounts): string {
  const perPod = Array.from(countsByPod(counts), ([pod, count]) => `${pod} ${count}`).toSorted()
  const clients = new Set(counts.answers.map(({ client }) => client))
  const answered = perPod.length === 0 ? [] : [`${perPod.join(', ')} answered, seeing ${[...clients].join(', ')}`]
  return [...answered, ...counts.failures.map(({ reason, count }) => `${count} failed (${reason})`)].join('; ')
}

/** Returns true when every request was answered, by this many pods. */
export function isAnsweredBy(counts: AnswerCounts, pods: number): boolean {
  return counts.failures.length === 0 && countsByPod(counts).size === pods
}

/** Returns true when every request was refused at once. */
export function isRefused({ answers, failures }: AnswerCounts): boolean {
  return answers.length === 0 && failures.length > 0 && failures.every(({ reason }) => reason.includes('ECONNREFUSED'))
}

/** Returns true when no request got an answer, not even a refusal. */
export function isDropped({ answers, failures }: AnswerCounts): boolean {
  return answers.length === 0 && failures.every(({ reason }) => reason.startsWith('no answer within'))
}

export interface Spread {
  readonly chiSquare: number
  /** The probability of a spread at least as uneven, if every choice is equally likely. */
  readonly probability: number
}

/** A less probable spread counts as uneven. One tour in a hundred thousand fails by chance. */
export const minProbability = 1e-5

/**
 * Tests by Pearson's chi-square whether connections are evenly spread.
 * @param counts of an odd number of choices. The degrees of freedom are then even, and the distribution has a closed
 * form.
 * @throws {RangeError} when the number is even.
 */
export function spreadOf(counts: readonly number[]): Spread {
  if (counts.length % 2 === 0) throw new RangeError(`Expected an odd number of choices, got ${counts.length}`)
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  let [term, sum] = [1, 1]
  for (let k = 1; k < (counts.length - 1) / 2; k++) {
    term *= chiSquare / 2 / k
    sum += term
  }
  return { chiSquare, probability: counts.length === 1 ? 1 : Math.exp(-chiSquare / 2) * sum }
}
