import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { quoteWord } from './shell-words.ts'

test('a shell reads back every word as it was', () => {
  const words = fc.array(
    fc.string().filter((word) => !word.includes('\0')),
    { minLength: 1, maxLength: 20 },
  )
  fc.assert(
    fc.property(words, (list) => {
      const read = execFileSync('sh', ['-c', `printf '%s\\0' ${list.map(quoteWord).join(' ')}`], { encoding: 'utf8' })
      expect(read.split('\0').slice(0, -1)).toEqual(list)
    }),
    { numRuns: 25 },
  )
})

test('what is safe stays as it is', () => {
  expect(quoteWord('--net=/run/netns/a')).toBe('--net=/run/netns/a')
})
