import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FakeIptables } from '../../test/support/fake-iptables.ts'
import type { IptablesBackend, IptablesTable } from './iptables.ts'
import { noEdits } from './jumps.ts'
import type { RulesOwner } from './owner.ts'
import { NormalForms, parseRule } from './parse-rule.ts'
import { planTransactions, type TableInput, type Transaction } from './plan.ts'
import { type Lines, TableState } from './table-state.ts'

type Chains = ReadonlyMap<string, Lines>
const backends: readonly IptablesBackend[] = ['nft', 'legacy']

/** Every chain but the built-in ones is theirs. */
const owner: RulesOwner = {
  name: 'a test',
  tables: ['filter', 'nat'],
  bases: [],
  owns: () => true,
  kindOf: () => 'sequence',
  ownsJump: () => false,
  roots: [],
  textTables: ['filter', 'nat'],
  filterInTwoSteps: true,
}

function inputFor(held: Chains, wanted: Chains, table: IptablesTable = 'nat'): TableInput {
  const state = new TableState({ table, owner, forms: new NormalForms() })
  for (const [chain, lines] of held) state.learn(chain, lines)
  for (const [chain, lines] of wanted) state.want(chain, lines.map(parseRule))
  return { ...state.difference(), jumps: noEdits }
}

function plan(backend: IptablesBackend, inputs: Partial<Record<'filter' | 'nat', TableInput>>): Transaction[] {
  const nothing: TableInput = { write: new Map(), edit: new Map(), remove: [], applied: new Map(), jumps: noEdits }
  const tables = (['filter', 'nat'] as const).map((table) => [table, inputs[table] ?? nothing] as const)
  return planTransactions(backend, new Map(tables), owner)
}

/**
 * What iptables-restore makes of a table.
 * @throws {CommandError} where it would refuse: a rule that leads to a missing chain, the removal of a chain in use
 */
async function restore(held: Chains, transactions: readonly Transaction[]): Promise<Chains> {
  const iptables = new FakeIptables()
  for (const [chain, lines] of held) iptables.change(4, 'nat', chain, lines)
  for (const { text } of transactions) await iptables.restore(4, text)
  return new Map([...iptables.all].map(([key, lines]) => [key.replace('4 nat ', ''), lines]))
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

test.each(backends)(
  'leads from any table to any other, and at no time a rule to a missing chain: %s',
  async (backend) => {
    await fc.assert(
      fc.asyncProperty(tables, tables, async (held, wanted) => {
        const transactions = plan(backend, { nat: inputFor(held, wanted) })
        const after = await restore(held, transactions)
        expect(after).toEqual(wanted)
        // One restore where a piece would cost as much as the whole; where stale chains would delay the rest, they go
        // afterwards.
        expect(transactions.length).toBeLessThanOrEqual(backend === 'nft' ? 2 : 1)
        expect(plan(backend, { nat: inputFor(after, wanted) })).toEqual([])
      }),
    )
  },
)

test('leaves chains that agree out of the text', () => {
  fc.assert(
    fc.property(tables, tables, (held, wanted) => {
      const texts = plan('legacy', { nat: inputFor(held, wanted) })
        .map(({ text }) => text)
        .join('')
      return [...wanted].every(
        ([chain, rules]) => texts.includes(`:${chain} -`) === (held.get(chain)?.join('\n') !== rules.join('\n')),
      )
    }),
  )
})

test('writes many chains in pieces on nft, each after those that it calls, and in one piece on legacy', async () => {
  const wanted = new Map<string, Lines>([
    ['c0', Array.from({ length: 2000 }, (_, i) => `-j c${i + 1}`)],
    ...Array.from({ length: 2000 }, (_, i) => [`c${i + 1}`, [`-j c${i + 3001}`]] as const),
    ...Array.from({ length: 2000 }, (_, i) => [`c${i + 3001}`, ['-j ACCEPT']] as const),
  ])
  const nft = plan('nft', { nat: inputFor(new Map(), wanted) })
  expect(nft.length).toBe(4)
  for (const { text } of nft) expect(text.match(/^:\S+/gm)).toEqual(text.match(/^:\S+/gm)?.toSorted().toReversed())
  expect((await restore(new Map(), nft)).size).toBe(4001)
  expect(nft.at(-1)?.writes.has('c0')).toBe(true)
  expect(plan('legacy', { nat: inputFor(new Map(), wanted) })).toHaveLength(1)
  const gone = plan('nft', { nat: inputFor(wanted, new Map()) })
  expect((await restore(wanted, gone)).size).toBe(0)
})

/** A Service is served by table nat, refused by table filter, or (never) neither. */
test.each(backends)(
  'serves or refuses each Service at any moment, while Services gain and lose their endpoints: %s',
  async (backend) => {
    const served = (services: readonly boolean[]): Record<'nat' | 'filter', Chains> => ({
      nat: new Map([
        ['KUBE-SERVICES', services.flatMap((has, i) => (has ? [`-d 10.96.0.${i}/32 -j c${i}`] : []))],
        ...services.flatMap((has, i) => (has ? [[`c${i}`, ['-j DNAT']] as [string, Lines]] : [])),
      ]),
      filter: new Map([['KUBE-SERVICES', services.flatMap((has, i) => (has ? [] : [`-d 10.96.0.${i}/32 -j REJECT`]))]]),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.boolean(), fc.boolean()), { maxLength: 20 }), async (pairs) => {
        const [before, after] = [served(pairs.map(([was]) => was)), served(pairs.map(([, is]) => is))]
        const iptables = new FakeIptables()
        for (const table of ['filter', 'nat'] as const)
          for (const [chain, lines] of before[table]) iptables.change(4, table, chain, lines)
        for (const { text } of plan(backend, {
          filter: inputFor(before.filter, after.filter, 'filter'),
          nat: inputFor(before.nat, after.nat),
        })) {
          await iptables.restore(4, text)
          const rules = (['nat', 'filter'] as const).flatMap((table) => iptables.held(4, table, 'KUBE-SERVICES') ?? [])
          expect(pairs.map((_, i) => rules.some((rule) => rule.startsWith(`-d 10.96.0.${i}/32 `)))).toEqual(
            pairs.map(() => true),
          )
        }
        const held = (table: 'filter' | 'nat'): Chains =>
          new Map([...after[table].keys()].map((chain) => [chain, iptables.held(4, table, chain) ?? []]))
        expect([held('nat'), held('filter')]).toEqual([after.nat, after.filter])
        expect(iptables.all.size).toBe(after.nat.size + after.filter.size)
      }),
    )
  },
)
