import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fingerprint } from './fingerprint.ts'

test('rules that differ in a character, in their order or in where one ends have another fingerprint', () => {
  const rules = ['-s 10.244.1.5/32 -j KUBE-MARK-MASQ', '-p tcp -m tcp -j DNAT --to-destination 10.244.1.5:8080']
  const prints = [
    rules,
    rules.toReversed(),
    rules.map((rule) => rule.replace('.5', '.6')),
    [rules.join('')],
    [...rules, ''],
    rules.slice(0, 1),
    [],
  ].map(fingerprint)
  expect(new Set(prints).size).toBe(prints.length)
  expect(prints.every(Number.isSafeInteger)).toBe(true)
})

test('a hundred thousand endpoints have a hundred thousand fingerprints', () => {
  const prints = Array.from({ length: 100_000 }, (_, n) =>
    fingerprint([`-p tcp -m tcp -j DNAT --to-destination 10.${n >> 16}.${(n >> 8) & 255}.${n & 255}:8080`]),
  )
  expect(new Set(prints).size).toBe(prints.length)
})

test('the same rules always have the same one', () => {
  fc.assert(fc.property(fc.array(fc.string()), (rules) => fingerprint(rules) === fingerprint([...rules])))
})
