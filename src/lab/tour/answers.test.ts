import { expect, test } from 'vitest'
import { minProbability, spreadOf } from './answers.ts'

// Quantiles as tables of the distribution have them.
test.each([
  [[1000, 1000, 1000], 0, 1],
  [[1000 + 54.74, 1000 - 54.74, 1000], 5.993, 0.05],
  [[200, 200, 200, 200, 200 + 0], 0, 1],
  [[100 + 21.78, 100 - 21.78, 100, 100, 100], 9.487, 0.05],
])('computes the spread of %j', (counts, chiSquare, probability) => {
  const spread = spreadOf(counts)
  expect(spread.chiSquare).toBeCloseTo(chiSquare, 2)
  expect(spread.probability).toBeCloseTo(probability, 3)
})

test('detects an endpoint that gets half of its share, but tolerates noise', () => {
  expect(spreadOf([1250, 1250, 500]).probability).toBeLessThan(minProbability)
  expect(spreadOf([1040, 980, 980]).probability).toBeGreaterThan(minProbability)
})

test('rejects an even number of choices, which has no closed form', () => {
  expect(() => spreadOf([1, 2])).toThrow('Expected an odd number of choices, got 2')
})
