import fc from 'fast-check'
import { expect, test } from 'vitest'
import { placeKey } from '../../iptables/owner.ts'
import { inserts, restoreText, ruleLines } from '../../iptables/restore-text.ts'
import { formatRule } from '../../iptables/rule.ts'
import { parseCidr } from '../../net/cidr.ts'
import { desiredRules } from './desired.ts'
import { attachmentOf, dualSettings, examples, port } from './rule-inputs.ts'
import { podRulesOwner } from './owner.ts'
import type { RuleSet, RulesInput } from './rule-set.ts'

const input: RulesInput = { ...dualSettings, family: 4, attachments: [] }

function rulesOf(name: string, of: RulesInput): readonly string[] {
  return (
    desiredRules(of)
      .chains.find(({ chain }) => chain === name)
      ?.rules.map(formatRule) ?? []
  )
}

/** The set as it goes to an empty table. */
function textOf({ chains, jumps }: RuleSet): string {
  return restoreText(
    podRulesOwner.tables
      .map((table) => {
        const own = chains.filter((each) => each.table === table)
        const lines = own.flatMap(({ chain, rules }) => ruleLines(chain, rules))
        const leads = jumps
          .filter((jump) => jump.table === table)
          .flatMap(({ base, rule, place }) =>
            place === 'first' ? [inserts(base, 1, formatRule(rule))] : ruleLines(base, [rule]),
          )
        return { table, declare: own.map(({ chain }) => chain), lines: [...lines, ...leads] }
      })
      .filter(({ declare }) => declare.length > 0),
  )
}

test.each(Object.entries(examples))('the rules of %s, as they go to an empty table', async (name, of) => {
  await expect(textOf(desiredRules(of))).toMatchFileSnapshot(`golden/${name}.rules`)
})

test('every chain and base chain is among those that are looked at and removed, within the length that the kernel takes', () => {
  for (const of of Object.values(examples)) {
    const { chains, jumps } = desiredRules(of)
    expect(podRulesOwner.chains.map(placeKey)).toEqual(expect.arrayContaining(chains.map(placeKey)))
    expect(podRulesOwner.bases.map(placeKey)).toEqual(
      expect.arrayContaining(jumps.map(({ table, base }) => placeKey({ table, chain: base }))),
    )
    for (const { rule } of jumps) expect(chains.map(({ chain }) => chain)).toContain(rule.target?.name)
  }
  for (const { chain } of podRulesOwner.chains) expect(chain.length).toBeLessThanOrEqual(28)
})

test('a family that the node has no podCIDR of has no rules', () => {
  expect(desiredRules({ ...input, localPodCidrs: [parseCidr('fd00:244:1::/64')] })).toEqual({ chains: [], jumps: [] })
})

test("the node's own podCIDR is a pod network though its Node has not been seen yet", () => {
  const text = rulesOf('FAIRLEAD-EGRESS', { ...input, podNetworks: [] }).join('\n')
  expect(text).toContain('-d 10.244.1.0/24 -m comment --comment "between pods" -j RETURN')
})

test('the order in which nodes and their CIDRs are known makes no difference', () => {
  const shuffled = fc.shuffledSubarray([...input.podNetworks], { minLength: input.podNetworks.length })
  fc.assert(
    fc.property(shuffled, (podNetworks) => {
      expect(desiredRules({ ...input, podNetworks })).toEqual(desiredRules(input))
    }),
  )
})

test('nothing that a runtime says of a pod leaves its comment', () => {
  const text = fc.oneof(fc.string({ maxLength: 400 }), fc.constant('a" -j ACCEPT\n-A INPUT -j ACCEPT #'))
  fc.assert(
    fc.property(text, text, (namespace, name) => {
      const [rule = ''] = rulesOf('FAIRLEAD-HOSTPORT-DNAT', {
        ...input,
        attachments: [attachmentOf(5, [port(80)], { pod: { namespace, name, uid: undefined } })],
      })
      expect(rule).toMatch(
        /^-p tcp -m comment --comment "pod [\w./-]{1,200}" -m tcp --dport 80 -j DNAT --to-destination 10\.244\.1\.5:80$/,
      )
    }),
  )
})

test('localhost off: a host port does not take a port of 127.0.0.1 away', () => {
  const off = { ...input, localhostHostPorts: false }
  expect(rulesOf('FAIRLEAD-HOSTPORTS', off)[0]).toBe('-d 127.0.0.0/8 -m comment --comment "not on localhost" -j RETURN')
  expect(rulesOf('FAIRLEAD-HOSTPORTS', off).join('\n')).not.toContain('-s 127.0.0.0/8')
  expect(rulesOf('FAIRLEAD-LOCALNET', off)).toEqual([])
})
