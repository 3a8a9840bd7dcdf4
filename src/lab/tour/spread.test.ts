import { expect, test } from 'vitest'
import { believable, spreadOf } from './spread.ts'

// Quantiles as tables of the distribution have them.
test.each([
  [[1000, 1000, 1000], 0, 1],
  [[1000 + 54.74, 1000 - 54.74, 1000], 5.993, 0.05],
  [[200, 200, 200, 200, 200 + 0], 0, 1],
  [[100 + 21.78, 100 - 21.78, 100, 100, 100], 9.487, 0.05],
])('%j', (counts, chiSquare, probability) => {
  const spread = spreadOf(counts)
  expect(spread.chiSquare).toBeCloseTo(chiSquare, 2)
  expect(spread.probability).toBeCloseTo(probability, 3)
})

test('an endpoint that gets half of what it should is no accident, noise is', () => {
  expect(spreadOf([1250, 1250, 500]).probability).toBeLessThan(believable)
  expect(spreadOf([1040, 980, 980]).probability).toBeGreaterThan(believable)
})

test('an even number of choices has no closed form', () => {
  expect(() => spreadOf([1, 2])).toThrow('Expected an odd number of choices, got 2')
})
