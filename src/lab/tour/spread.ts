// Whether connections were spread evenly: Pearson's chi-square test.

export interface Spread {
  readonly chiSquare: number
  /** How probable so uneven a spread, or a worse one, is where every choice is equally likely. */
  readonly probability: number
}

/** Below this an uneven spread is no accident: one tour in a hundred thousand is wronged. */
export const believable = 1e-5

/**
 * @param counts of an odd number of choices, so that the distribution has a closed form (an even number of degrees of
 * freedom).
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
