import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LineSplitter } from './response-body.ts'

function split(chunks: readonly Buffer[]): string[] {
  const splitter = new LineSplitter()
  const lines = chunks.flatMap((chunk) => splitter.push(chunk))
  const rest = splitter.end()
  return [...lines, ...(rest === undefined ? [] : [rest])].map(String)
}

test('splits into the same lines however the bytes are chunked', () => {
  const text = fc.array(fc.oneof(fc.string({ unit: 'grapheme' }), fc.constant('\n'))).map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, fc.array(fc.nat(200)), (text, cuts) => {
      const bytes = Buffer.from(text)
      const bounds = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
      const chunks = bounds.slice(1).map((bound, i) => bytes.subarray(bounds[i], bound))
      expect(split(chunks)).toEqual(text.split('\n').filter((line) => line !== ''))
    }),
  )
})

test('returns a line only with its newline, and an incomplete last line at the end', () => {
  const splitter = new LineSplitter()
  expect(splitter.push(Buffer.from('{"a":'))).toEqual([])
  expect(splitter.push(Buffer.from('1}\n{')).map(String)).toEqual(['{"a":1}'])
  expect(String(splitter.end())).toBe('{')
  expect(splitter.end()).toBeUndefined()
})
