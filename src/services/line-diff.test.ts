import fc from 'fast-check'
import { expect, test } from 'vitest'
import { diffLines } from './line-diff.ts'

test.each([
  ['', '', ''],
  ['abc', 'abc', ' a b c'],
  ['abc', 'axc', ' a-b+x c'],
  ['', 'ab', '+a+b'],
  ['ab', '', '-a-b'],
  ['abcd', 'dabc', '+d a b c-d'],
  ['aab', 'ab', ' a-a b'],
])('%j to %j is %j', (before, after, lines) => {
  expect(
    diffLines(before.split(''), after.split(''))
      .map(({ mark, text }) => mark + text)
      .join(''),
  ).toBe(lines)
})

const lists = fc.array(fc.constantFrom(...'abcdefgh'.split('')), { maxLength: 12 })

test('what is kept or gone is the list before, what is kept or comes the list after', () => {
  fc.assert(
    fc.property(lists, lists, (before, after) => {
      const lines = diffLines(before, after)
      const without = (left: string) => lines.filter(({ mark }) => mark !== left).map(({ text }) => text)
      expect([without('+'), without('-')]).toEqual([before, after])
    }),
  )
})

test('one line that is replaced in a chain of unique lines is all that is marked', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { minLength: 1 }), fc.nat(), (before, n) => {
      const after = before.with(
        n % before.length,
        'another one that no list has, since it is longer than all of their lines',
      )
      expect(diffLines(before, after).filter(({ mark }) => mark !== ' ')).toHaveLength(2)
    }),
  )
})
