import fc from 'fast-check'
import pino from 'pino'
import { expect, test } from 'vitest'
import { FakeFlows } from '../../../test/support/fake-flows.ts'
import { FakeIptables } from '../../../test/support/fake-iptables.ts'
import { FamilyTables, type Render } from '../../iptables/family-tables.ts'
import type { IptablesTable } from '../../iptables/iptables.ts'
import type { Jump } from '../../iptables/jumps.ts'
import { formatRule } from '../../iptables/rule.ts'
import { desiredRules } from './desired.ts'
import { podRulesOwner } from './owner.ts'
import { attachmentOf, dualSettings, examples, port } from './rule-inputs.ts'
import { noRules, type RuleSet } from './rule-set.ts'
import { PodRules } from './rules.ts'

const log = pino({ level: 'silent' })
const renderNothing: Render = () => new Map()
const kube = (target: string): string => `-m comment --comment "kubernetes" -j ${target}`
const foreign = (i = 0): string => `-s 192.0.2.${i}/32 -j ACCEPT`

/** A node that has KUBE- chains to lead to. */
function node(backend: 'nft' | 'legacy' = 'nft'): FakeIptables {
  const iptables = new FakeIptables({ backend })
  for (const table of podRulesOwner.tables)
    for (const chain of ['KUBE-SERVICES', 'KUBE-PROXY-FIREWALL', 'KUBE-FORWARD', 'DOCKER-USER'])
      iptables.change(4, table, chain, [])
  return iptables
}

/** An agent that starts here and makes the kernel hold the rules. */
async function converge(iptables: FakeIptables, desired: RuleSet): Promise<number> {
  const tables = new FamilyTables({ family: 4, owner: podRulesOwner, iptables, log })
  for (const { table, chain, rules } of desired.chains) tables.want(table, [[chain, rules]])
  tables.wantJumps(desired.jumps)
  return (await tables.audit(renderNothing)).written.restores
}

const sets: RuleSet[] = [
  noRules,
  ...Object.values(examples)
    .filter(({ family }) => family === 4)
    .map(desiredRules),
]

test.each(['nft', 'legacy'] as const)(
  '%s: from any set of rules, damaged in any way, leads to any other, keeps what is foreign, and then writes nothing',
  async (backend) => {
    const damage = fc.array(
      fc.record({
        what: fc.constantFrom('empty', 'remove', 'drop', 'double', 'reverse', 'foreign', 'kube'),
        where: fc.nat(),
        index: fc.nat(),
      }),
      { maxLength: 6 },
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...sets), damage, fc.constantFrom(...sets), async (before, wounds, after) => {
        const iptables = node(backend)
        iptables.change(4, 'filter', 'FORWARD', [foreign(1)])
        await converge(iptables, before)
        for (const { what, where, index } of wounds) {
          const all = [...iptables.all].filter(([key]) => !/ (KUBE|DOCKER)-/.test(key))
          const [key = '', rules = []] = all[where % all.length] ?? []
          const [, table = '', chain = ''] = key.split(' ')
          const isOurs = chain.startsWith('FAIRLEAD-')
          const change = (to: readonly string[] | undefined): void =>
            iptables.change(4, table as IptablesTable, chain, to)
          const leads = rules[index % rules.length]?.includes('FAIRLEAD-') === true
          const isLedTo = [...iptables.all.values()].flat().some((rule) => rule.endsWith(`-j ${chain}`))
          if (what === 'empty' && isOurs) change([])
          if (what === 'drop' && leads) change(rules.toSpliced(index % rules.length, 1))
          if (what === 'double' && rules[0]?.includes('FAIRLEAD-') === true) change([...rules, rules[0]])
          if (what === 'reverse') change(rules.toReversed())
          if (what === 'foreign') change([foreign(2), ...rules])
          if (what === 'kube' && !isOurs) change(rules.toSpliced(index % (rules.length + 1), 0, kube('KUBE-SERVICES')))
          if (what === 'remove' && isOurs && !isLedTo) change(undefined)
        }
        const others = () =>
          [...iptables.all]
            .filter(([key]) => !key.includes('FAIRLEAD-'))
            .map(([key, rules]) => [key, rules.filter((rule) => !rule.includes('-j FAIRLEAD-'))] as const)
            .filter(([, rules]) => rules.length > 0)
        const foreignBefore = others()
        await converge(iptables, after)
        expect(others()).toEqual(foreignBefore)
        expect([...iptables.all.keys()].filter((key) => key.includes(' FAIRLEAD-')).toSorted()).toEqual(
          after.chains.map(({ table, chain }) => `4 ${table} ${chain}`).toSorted(),
        )
        for (const { table, chain, rules } of after.chains) {
          const [held, wanted] = [[...(iptables.held(4, table, chain) ?? [])], rules.map(formatRule)]
          const isSet = podRulesOwner.kindOf(table, chain) === 'set'
          expect(isSet ? held.toSorted() : held).toEqual(isSet ? wanted.toSorted() : wanted)
        }
        for (const jump of after.jumps) assertStandsRight(iptables, jump)
        expect(await converge(iptables, after)).toBe(0)
      }),
    )
  },
)

function assertStandsRight(iptables: FakeIptables, { table, base, rule }: Jump): void {
  const rules = iptables.held(4, table, base) ?? []
  expect(rules.filter((each) => each.endsWith(`-j ${rule.target?.name}`))).toEqual([formatRule(rule)])
  expect(rules.indexOf(formatRule(rule))).toBeGreaterThan(rules.findLastIndex((each) => each.includes('-j KUBE-')))
}

test('one more host port is one appended rule, one less is one deleted rule', async () => {
  const iptables = node()
  const rules = new PodRules({ kernel: new FakeFlows(), iptables, log, families: [4] })
  rules.configure(dualSettings)
  await rules.reconcile([attachmentOf(5, [port(8080)])])
  const line =
    'FAIRLEAD-HOSTPORT-DNAT -p tcp -m comment --comment "pod default/web-6" -m tcp --dport 8081 -j DNAT --to-destination 10.244.1.6:80'
  const before = iptables.restores.length
  await rules.add(attachmentOf(6, [port(8081)]))
  await rules.remove([attachmentOf(6, [port(8081)])])
  expect(iptables.restores.slice(before)).toEqual([`*nat\n-A ${line}\nCOMMIT\n`, `*nat\n-D ${line}\nCOMMIT\n`])
})

test("the forward jump stands right after kube-proxy's and before all others", async () => {
  const iptables = node()
  const others = [
    kube('KUBE-PROXY-FIREWALL'),
    kube('KUBE-FORWARD'),
    '-j DOCKER-USER',
    '-j REJECT --reject-with icmp-port-unreachable',
  ]
  iptables.change(4, 'filter', 'FORWARD', others)
  const desired = desiredRules({ ...dualSettings, family: 4, attachments: [] })
  const jump = desired.jumps.find(({ base }) => base === 'FORWARD')!
  await converge(iptables, desired)
  expect(iptables.held(4, 'filter', 'FORWARD')).toEqual([
    ...others.slice(0, 2),
    formatRule(jump.rule),
    ...others.slice(2),
  ])
})
