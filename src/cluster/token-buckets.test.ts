import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TokenBuckets } from './token-buckets.ts'

test('a bucket holds its burst, and gains a token each period', () => {
  const buckets = new TokenBuckets({ burst: 2, refillMs: 1000, keys: 10 })
  expect([0, 0, 0, 999, 1000, 1001, 60_000, 60_000, 60_000].map((now) => buckets.take('a', now))).toEqual([
    true,
    true,
    false,
    false,
    true,
    false,
    true,
    true,
    false,
  ])
  expect(buckets.take('b', 60_000)).toBe(true)
})

test('takes at most the burst and one token a period, whatever the times', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5000), { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (pauses, burst) => {
      const buckets = new TokenBuckets({ burst, refillMs: 1000, keys: 3 })
      let now = 0
      const taken = pauses.filter((pause) => {
        now += pause
        return buckets.take('a', now)
      }).length
      expect(taken).toBeLessThanOrEqual(burst + now / 1000)
    }),
  )
})

test('forgets the key that was asked for longest ago', () => {
  const buckets = new TokenBuckets({ burst: 1, refillMs: 1000, keys: 2 })
  const asked = ['a', 'b', 'a', 'c', 'b', 'c']
  // b was asked for before a and c: it begins full again, and c is known.
  expect(asked.map((key) => buckets.take(key, 0))).toEqual([true, true, false, true, true, false])
})
