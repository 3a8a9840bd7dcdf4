import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AnswerReader } from './batch-answers.ts'

const stderr = [
  'Object "barrier" is unknown, try "ip help".\nCommand failed -:1\n',
  'Cannot find device "x"\nCommand failed -:2\nObject "barrier" is unknown, try "ip help".\nCommand failed -:3\n',
  'Warning: something to know.\nObject "barrier" is unknown, try "ip help".\nCommand failed -:5\n',
  'Error: argument "a" is wrong: Invalid "mtu" value\n\n',
].join('')

test('however the text is cut, it gives the same answers, and the rest is what the last line said', () => {
  const cuts = fc
    .array(fc.nat(stderr.length), { maxLength: 8 })
    .map((at) => [0, ...at, stderr.length].toSorted((a, b) => a - b))
  fc.assert(
    fc.property(cuts, (at) => {
      const reader = new AnswerReader()
      const answers = at.flatMap((start, i) => reader.read(stderr.slice(start, at[i + 1] ?? start)))
      expect(answers).toEqual([
        { ok: true, said: '' },
        { ok: false, said: 'Cannot find device "x"' },
        { ok: true, said: 'Warning: something to know.' },
      ])
      expect(reader.rest).toBe('Error: argument "a" is wrong: Invalid "mtu" value')
    }),
  )
})

test('a message without its newline does not swallow the barrier', () => {
  const reader = new AnswerReader()
  expect(
    reader.read('Weird thingCommand failed -:7\nObject "barrier" is unknown, try "tc help".\nCommand failed -:8\n'),
  ).toEqual([{ ok: false, said: 'Weird thing' }])
})
