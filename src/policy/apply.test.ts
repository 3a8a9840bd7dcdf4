import { expect, test } from 'vitest'
import { damageOf } from './apply.ts'
import type { ObservedTable } from './observe.ts'
import type { PolicyTable } from './table.ts'

const written: PolicyTable = {
  sets: new Map([['ingress4', { kind: 'map', declaration: '', elements: new Map([['10.0.0.1', 'jump c']]) }]]),
  chains: new Map([
    ['c', { declaration: '', rules: ['accept', 'drop'] }],
    [
      'forward',
      { declaration: 'type filter hook forward priority 10; policy accept;', rules: ['ip daddr vmap @ingress4'] },
    ],
  ]),
}
const observed = (
  changes: { sets?: ObservedTable['sets']; chains?: Record<string, readonly string[]> } = {},
): ObservedTable => ({
  sets: changes.sets ?? new Map([['ingress4', new Map([['10.0.0.1', 'jump c']])]]),
  chains: new Map(Object.entries({ c: ['5', '6'], forward: ['forward 10 accept', '7'], ...changes.chains })),
  counts: new Map(),
})

test('as it was written: no damage', () => {
  expect(damageOf(written, observed(), new Map())).toBeUndefined()
})

test.each([
  [
    'a map with another verdict',
    { sets: new Map([['ingress4', new Map([['10.0.0.1', 'jump d']])]]) },
    ['map ingress4'],
    'mended',
  ],
  ['a map that is gone', { sets: new Map() }, ['map ingress4'], 'mended'],
  ['a rule that is gone', { chains: { c: ['5'] } }, ['chain c'], 'mended'],
  ['a rule that was taken out and put back', { chains: { c: ['5', '9'] } }, ['chain c'], 'mended'],
  ['a chain of somebody else', { chains: { alien: ['8'] } }, ['chain alien'], 'mended'],
  ['a hook with another policy', { chains: { forward: ['forward 10 drop', '7'] } }, ['chain forward'], 'unknown'],
  ['no hook', { chains: { forward: ['7'] } }, ['chain forward'], 'unknown'],
] as const)('%s', (_, changes, what, left) => {
  const seen = new Map()
  damageOf(written, observed(), seen)
  const damage = damageOf(written, observed(changes), seen)
  expect(damage?.what).toEqual(what)
  expect(damage?.left === 'unknown' ? 'unknown' : 'mended').toBe(left)
})

test('no table: all of it is to be written', () => {
  expect(damageOf(written, undefined, new Map())).toEqual({ what: ['table'], left: 'unknown' })
})
