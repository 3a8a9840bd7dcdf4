import fc from 'fast-check'
import { expect, test } from 'vitest'
import { desiredRules } from './desired.ts'
import { diffChains, diffJumps, type ObservedChains, restoreText } from './diff.ts'
import { FakeIptables } from './fake-iptables.ts'
import { attachmentOf, dualSettings, examples, port } from './rule-inputs.ts'
import { type Jump, noRules, type RuleSet } from './rule-set.ts'
import { Spellings } from './spellings.ts'

const spellings = new Spellings()
const kube = (base: string, target: string) => `-A ${base} -m comment --comment "kubernetes" -j ${target}`
const foreign = (base: string, i = 0) => `-A ${base} -s 192.0.2.${i}/32 -j ACCEPT`

function held({ chains }: RuleSet): ObservedChains {
  return new Map(chains.map((chain) => [`${chain.table} ${chain.name}`, chain.rules]))
}

async function converge(iptables: FakeIptables, desired: RuleSet): Promise<string> {
  const observed = iptables.observed(4)
  const text = restoreText([...diffChains(desired, observed, spellings), ...diffJumps(desired, observed, spellings)])
  if (text !== '') await iptables.iptables.restore(4, text)
  return text
}

const sets: RuleSet[] = [
  noRules,
  ...Object.values(examples)
    .filter(({ family }) => family === 4)
    .map(desiredRules),
]

test('from any set of rules, damaged in any way, the next pass leads to any other, keeps what is foreign, and the one after writes nothing', async () => {
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
      const iptables = new FakeIptables()
      iptables.chains.set('4 filter FORWARD', [foreign('FORWARD', 1)])
      await converge(iptables, before)
      for (const { what, where, index } of wounds) {
        const [key = '', rules = []] = [...iptables.chains][where % iptables.chains.size] ?? []
        const base = key.split(' ')[2] ?? ''
        const isOurs = base.startsWith('FAIRLEAD-')
        if (what === 'empty' && isOurs) iptables.chains.set(key, [])
        if (what === 'drop' && rules[index % rules.length]?.includes('FAIRLEAD-')) rules.splice(index % rules.length, 1)
        if (what === 'double' && rules[0]?.includes('FAIRLEAD-')) rules.push(rules[0])
        if (what === 'reverse') iptables.chains.set(key, rules.toReversed())
        if (what === 'foreign') rules.unshift(foreign(base, 2))
        if (what === 'kube' && !isOurs) rules.splice(index % (rules.length + 1), 0, kube(base, 'KUBE-SERVICES'))
        if (
          what === 'remove' &&
          isOurs &&
          ![...iptables.chains.values()].flat().some((rule) => rule.endsWith(`-j ${base}`))
        )
          iptables.chains.delete(key)
      }
      const others = () =>
        [...iptables.chains]
          .filter(([key]) => !key.includes('FAIRLEAD-'))
          .map(([key, rules]) => [key, rules.filter((rule) => !rule.includes('-j FAIRLEAD-'))] as const)
          .filter(([, rules]) => rules.length > 0)
      const foreignBefore = others()
      await converge(iptables, after)
      expect(others()).toEqual(foreignBefore)
      expect([...iptables.chains.keys()].filter((key) => key.includes('FAIRLEAD-')).toSorted()).toEqual(
        after.chains.map(({ table, name }) => `4 ${table} ${name}`).toSorted(),
      )
      for (const { table, name, rules, order } of after.chains) {
        const held = iptables.chains.get(`4 ${table} ${name}`) ?? []
        expect(order === 'set' ? held.toSorted() : held).toEqual(order === 'set' ? rules.toSorted() : rules)
      }
      for (const jump of after.jumps) assertStandsRight(iptables, jump)
      expect(await converge(iptables, after)).toBe('')
    }),
  )
})

function assertStandsRight(iptables: FakeIptables, { table, base, target, rule }: Jump): void {
  const rules = iptables.chains.get(`4 ${table} ${base}`) ?? []
  expect(rules.filter((each) => each.endsWith(`-j ${target}`))).toEqual([rule])
  expect(rules.indexOf(rule)).toBeGreaterThan(rules.findLastIndex((each) => each.includes('-j KUBE-')))
}

test('one more host port is one appended rule, one less is one deleted rule', () => {
  const one = desiredRules({ ...dualSettings, family: 4, attachments: [attachmentOf(5, [port(8080)])] })
  const two = desiredRules({
    ...dualSettings,
    family: 4,
    attachments: [attachmentOf(5, [port(8080)]), attachmentOf(6, [port(8081)])],
  })
  const rule =
    'FAIRLEAD-HOSTPORT-DNAT -p tcp -m comment --comment "pod default/web-6" -m tcp --dport 8081 -j DNAT --to-destination 10.244.1.6:80'
  expect(restoreText(diffChains(two, held(one), spellings))).toBe(`*nat\n-A ${rule}\nCOMMIT\n`)
  expect(restoreText(diffChains(one, held(two), spellings))).toBe(`*nat\n-D ${rule}\nCOMMIT\n`)
})

test("the forward jump stands right after kube-proxy's and before all others", async () => {
  const iptables = new FakeIptables()
  const others = [
    kube('FORWARD', 'KUBE-PROXY-FIREWALL'),
    kube('FORWARD', 'KUBE-FORWARD'),
    '-A FORWARD -j DOCKER-USER',
    '-A FORWARD -j REJECT --reject-with icmp-port-unreachable',
  ]
  iptables.chains.set('4 filter FORWARD', [...others])
  const desired = desiredRules({ ...dualSettings, family: 4, attachments: [] })
  const jump = desired.jumps.find(({ base }) => base === 'FORWARD')?.rule
  await converge(iptables, desired)
  expect(iptables.chains.get('4 filter FORWARD')).toEqual([...others.slice(0, 2), jump, ...others.slice(2)])
})
