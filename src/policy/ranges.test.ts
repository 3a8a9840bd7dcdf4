import fc from 'fast-check'
import { expect, test } from 'vitest'
import { difference, type Range, union } from './ranges.ts'

const range = fc
  .tuple(fc.bigInt(0n, 30n), fc.bigInt(0n, 6n))
  .map(([first, length]): Range => ({ first, last: first + length }))
const ranges = fc.array(range, { maxLength: 6 })
const numbers = Array.from({ length: 40 }, (_, n) => BigInt(n))
const holds = (list: readonly Range[], n: bigint): boolean => list.some(({ first, last }) => first <= n && n <= last)

test('a union holds what any of them holds, a difference what only the first does; both in the fewest ranges, in order', () => {
  fc.assert(
    fc.property(ranges, ranges, (a, b) => {
      for (const n of numbers) {
        expect(holds(union([...a, ...b]), n)).toBe(holds(a, n) || holds(b, n))
        expect(holds(difference(a, b), n)).toBe(holds(a, n) && !holds(b, n))
      }
      for (const result of [union(a), difference(a, b)])
        expect(
          result.every(({ first, last }, i) => first <= last && (i === 0 || first > result[i - 1]!.last + 1n)),
        ).toBe(true)
    }),
  )
})
