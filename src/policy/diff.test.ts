import fc from 'fast-check'
import { expect, test } from 'vitest'
import { diffTables, type Held } from './diff.ts'
import { ScratchTable } from './scratch-table.ts'
import type { PolicyTable, TableSet } from './table.ts'

function contentOf(table: PolicyTable | undefined) {
  if (table === undefined) return undefined
  const sets = [...table.sets].map(([name, { declaration, elements }]) => ({
    name,
    declaration,
    elements: [...elements].map((each) => each.join(' : ')).toSorted(),
  }))
  const chains = [...table.chains].map(([name, { declaration, rules }]) => ({ name, declaration, rules: [...rules] }))
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1)
  return { sets: sets.toSorted(byName), chains: chains.toSorted(byName) }
}

function held(kernel: ScratchTable): ReturnType<typeof contentOf> {
  const sets = new Map([...kernel.sets].map(([name, set]) => [name, { kind: 'set' as const, ...set }]))
  return kernel.exists ? contentOf({ sets, chains: kernel.chains }) : undefined
}

const addresses = fc.uniqueArray(fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'))
const rules = fc.array(fc.constantFrom('accept', 'drop', 'tcp dport 80 accept'))
const parts = fc.record({
  pods: fc.dictionary(fc.constantFrom('s1', 's2', 's3'), addresses),
  chains: fc.dictionary(fc.constantFrom('c1', 'c2', 'c3'), rules),
  verdicts: fc.dictionary(fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'), fc.nat(9)),
})

const table = parts.map(({ pods, chains, verdicts }): PolicyTable => {
  const named: Record<string, readonly string[]> = {
    ...chains,
    forward: [...Object.keys(pods).map((name) => `ip saddr @${name} accept`), 'ip daddr vmap @ingress4'],
  }
  const names = Object.keys(named)
  const jumps = new Map(Object.entries(verdicts).map(([address, n]) => [address, `jump ${names[n % names.length]}`]))
  const sets = new Map<string, TableSet>(
    Object.entries(pods).map(([name, list]) => [
      name,
      { kind: 'set', declaration: 'typeof ip saddr;', elements: new Map(list.map((each) => [each, ''])) },
    ]),
  )
  return {
    sets: sets.set('ingress4', { kind: 'map', declaration: 'typeof ip saddr : verdict;', elements: jumps }),
    chains: new Map(names.map((name) => [name, { declaration: 'comment "x";', rules: named[name] ?? [] }])),
  }
})
const wanted = fc.option(table, { nil: undefined, freq: 5 })

test('from any table to any other, and then there is nothing to do', () => {
  fc.assert(
    fc.property(fc.array(wanted, { minLength: 1, maxLength: 5 }), (steps) => {
      const kernel = new ScratchTable()
      let before: Held = 'absent'
      for (const after of steps) {
        kernel.apply(diffTables(before, after).text)
        expect(held(kernel)).toEqual(contentOf(after))
        before = after ?? 'absent'
        expect(diffTables(before, after).text).toBe('')
      }
    }),
  )
})

test('what is not known is written whole, whatever was there', () => {
  fc.assert(
    fc.property(wanted, wanted, (there, after) => {
      const kernel = new ScratchTable()
      kernel.apply(diffTables('absent', there).text)
      kernel.apply(diffTables('unknown', after).text)
      expect(held(kernel)).toEqual(contentOf(after))
    }),
  )
})
