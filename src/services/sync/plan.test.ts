import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { IptablesBackend } from '../../iptables/iptables.ts'
import type { Rules } from '../rendered.ts'
import { calledBy, planTransactions, type TableInput, type Transaction } from './plan.ts'
import { TableState } from './table-state.ts'

type Chains = ReadonlyMap<string, Rules>
const backends: readonly IptablesBackend[] = ['nft', 'legacy']
const nothing: TableInput = { write: new Map(), remove: [], applied: new Map(), jumps: [] }

function inputFor(held: Chains, wanted: Chains): TableInput {
  const state = new TableState({ keepsText: true })
  for (const [chain, rules] of held) state.learn(chain, rules)
  for (const [chain, rules] of wanted) state.want(chain, rules)
  return { ...state.difference(), jumps: [] }
}

/**
 * What iptables-restore --noflush makes of a table.
 * @throws {Error} where it would refuse: a step to a chain that is not there, the removal of one that is used.
 */
function restore(held: Chains, { text }: Transaction): Chains {
  const chains = new Map([...held].map(([name, rules]) => [name, [...rules]]))
  for (const line of text.split('\n')) {
    const [, declared] = /^:(\S+)/.exec(line) ?? []
    const [, to = '', rule = ''] = /^-A (\S+) (.*)/.exec(line) ?? []
    const [, removed] = /^-X (\S+)/.exec(line) ?? []
    if (declared !== undefined) chains.set(declared, [])
    if (to !== '') chains.get(to)?.push(rule)
    if (removed !== undefined) chains.delete(removed)
  }
  for (const [name, rules] of chains)
    for (const rule of rules)
      if (rule.includes('-j c') && !chains.has(calledBy(rule) ?? ''))
        throw new Error(`${name} leads to a chain that is not there: ${rule}`)
  return chains
}

/** Chains c0, c1, ...: each leads only to those with a higher number, as endpoints do not call Services. */
const tables = fc
  .array(
    fc.record({ n: fc.nat(30), calls: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 4 }), salt: fc.nat(2) }),
    { maxLength: 25 },
  )
  .map((specs): Chains => {
    const numbers = new Set(specs.map(({ n }) => n))
    return new Map(
      specs.map(({ n, calls, salt }) => [
        `c${n}`,
        [
          `-s 10.0.0.${salt}/32 -j ACCEPT`,
          ...calls
            .map((by) => n + by)
            .filter((callee) => numbers.has(callee))
            .map((callee) => `-j c${callee}`),
        ],
      ]),
    )
  })

test.each(backends)('from any table to any other one, and at no time leads a rule nowhere: %s', (backend) => {
  fc.assert(
    fc.property(tables, tables, (held, wanted) => {
      const plan = planTransactions(backend, { filter: nothing, mangle: nothing, nat: inputFor(held, wanted) })
      const after = plan.reduce(restore, held)
      expect(after).toEqual(wanted)
      // All of it at once where a piece would cost as much as the whole; what is stale goes afterwards where it would
      // make the first wait.
      expect(plan.length).toBeLessThanOrEqual(backend === 'nft' ? 2 : 1)
      expect(planTransactions(backend, { filter: nothing, mangle: nothing, nat: inputFor(after, wanted) })).toEqual([])
    }),
  )
})

test('chains that agree are not in the text', () => {
  fc.assert(
    fc.property(tables, tables, (held, wanted) => {
      const texts = planTransactions('legacy', { filter: nothing, mangle: nothing, nat: inputFor(held, wanted) })
        .map(({ text }) => text)
        .join('')
      return [...wanted].every(
        ([chain, rules]) => texts.includes(`:${chain} -`) === (held.get(chain)?.join('\n') !== rules.join('\n')),
      )
    }),
  )
})

test('many chains go in pieces on nft, each after those that it leads to, and in one piece on legacy', () => {
  const wanted = new Map<string, Rules>([
    ['c0', Array.from({ length: 2000 }, (_, i) => `-j c${i + 1}`)],
    ...Array.from({ length: 2000 }, (_, i) => [`c${i + 1}`, [`-j c${i + 3001}`]] as const),
    ...Array.from({ length: 2000 }, (_, i) => [`c${i + 3001}`, ['-j ACCEPT']] as const),
  ])
  const nft = planTransactions('nft', { filter: nothing, mangle: nothing, nat: inputFor(new Map(), wanted) })
  expect(nft.length).toBe(4)
  for (const { text } of nft) expect(text.match(/^:\S+/gm)).toEqual(text.match(/^:\S+/gm)?.toSorted().toReversed())
  expect(nft.reduce(restore, new Map()).size).toBe(4001)
  expect(nft.at(-1)?.writes.has('c0')).toBe(true)
  expect(
    planTransactions('legacy', { filter: nothing, mangle: nothing, nat: inputFor(new Map(), wanted) }),
  ).toHaveLength(1)
  const gone = planTransactions('nft', { filter: nothing, mangle: nothing, nat: inputFor(wanted, new Map()) })
  expect(gone.reduce(restore, wanted).size).toBe(0)
})

/** A Service is served by table nat, refused by table filter, or (never) neither. */
test.each(backends)(
  'while Services gain and lose their endpoints, each is served or refused at any moment: %s',
  (backend) => {
    const served = (services: readonly boolean[]): Record<'nat' | 'filter', Chains> => ({
      nat: new Map([
        ['KUBE-SERVICES', services.flatMap((has, i) => (has ? [`-d 10.96.0.${i}/32 -j c${i}`] : []))],
        ...services.flatMap((has, i) => (has ? [[`c${i}`, ['-j DNAT']] as [string, Rules]] : [])),
      ]),
      filter: new Map([['KUBE-SERVICES', services.flatMap((has, i) => (has ? [] : [`-d 10.96.0.${i}/32 -j REJECT`]))]]),
    })
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.boolean()), { maxLength: 20 }), (pairs) => {
        const [before, after] = [served(pairs.map(([was]) => was)), served(pairs.map(([, is]) => is))]
        const now: Record<string, Chains> = { ...before }
        for (const transaction of planTransactions(backend, {
          mangle: nothing,
          filter: inputFor(before.filter, after.filter),
          nat: inputFor(before.nat, after.nat),
        })) {
          now[transaction.table] = restore(now[transaction.table] ?? new Map(), transaction)
          const rules = [...(now['nat']?.get('KUBE-SERVICES') ?? []), ...(now['filter']?.get('KUBE-SERVICES') ?? [])]
          expect(pairs.map((_, i) => rules.some((rule) => rule.startsWith(`-d 10.96.0.${i}/32 `)))).toEqual(
            pairs.map(() => true),
          )
        }
        expect([now['nat'], now['filter']]).toEqual([after.nat, after.filter])
      }),
    )
  },
)
