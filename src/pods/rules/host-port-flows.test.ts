import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { UdpFlow } from '../../kernel/udp-flow.ts'
import { type Address, parseAddress } from '../../net/address.ts'
import { formatRule } from '../../iptables/rule.ts'
import { hostPortJudge, parseHostPortRule } from './host-port-flows.ts'
import { type HostPortLead, hostPortLeads, hostPortRules } from './host-ports.ts'
import { attachmentOf, dualSettings, port } from './rule-inputs.ts'

const [node, second, localhost, far] = ['192.168.0.21', '192.168.0.22', '127.0.0.1', '8.8.8.8'].map(parseAddress) as [
  Address,
  Address,
  Address,
  Address,
]
const scope = { isLocal: (address: Address) => address !== far, localhost: true }
const udp = (hostPort: number, hostAddress?: Address) =>
  port(hostPort, { protocol: 'udp', containerPort: 53, hostAddress })
const leads = (n: number, ...mappings: ReturnType<typeof udp>[]): readonly HostPortLead[] =>
  hostPortLeads(4, attachmentOf(n, mappings))

/** A flow to the address and port, answered from there or from "POD:PORT". */
function flow(destination: Address, destinationPort: number, from?: string): UdpFlow {
  const [replySource = '', replyPort = ''] = from?.split(':') ?? [destination, String(destinationPort)]
  return {
    source: parseAddress('192.168.0.9'),
    sourcePort: 40_001,
    destination,
    destinationPort,
    replySource: parseAddress(replySource),
    replySourcePort: Number(replyPort),
  }
}

test.each([
  ['goes where the port leads', flow(node, 5353, '10.244.1.5:53'), 'keep'],
  ['went past the port', flow(node, 5353), 'end-lead'],
  ['went past it on localhost', flow(localhost, 5353), 'end-lead'],
  ['goes to another machine', flow(far, 5353), 'keep'],
  ['another program leads', flow(node, 5353, '172.17.0.2:53'), 'keep'],
  ['goes to another port', flow(node, 5354), 'keep'],
  ['a withdrawn port led', flow(node, 5355, '10.244.1.6:53'), 'end-lead'],
  ['a withdrawn port led from one address', flow(second, 5356, '10.244.1.6:53'), 'end-lead'],
  ['goes to another address than the withdrawn port was on', flow(node, 5356, '10.244.1.6:53'), 'keep'],
  ['goes to the number of a withdrawn port, on the node itself', flow(node, 5355), 'keep'],
  ['goes to the pod by another way', flow(parseAddress('10.254.0.1'), 5357, '10.244.1.6:53'), 'keep'],
])('a flow that %s', (_, given, verdict) => {
  const judge = hostPortJudge(leads(5, udp(5353)), leads(6, udp(5355), udp(5356, second)), {
    ...scope,
    isLocal: (address) => address === node || address === second || address === localhost,
  })
  expect(judge(given)).toBe(verdict)
})

test('a port that moved to another pod', () => {
  const judge = hostPortJudge(leads(6, udp(5353)), leads(5, udp(5353)), scope)
  expect(judge(flow(node, 5353, '10.244.1.5:53'))).toBe('end-lead')
  expect(judge(flow(node, 5353, '10.244.1.6:53'))).toBe('keep')
})

test('a port that came back to the same pod', () => {
  const judge = hostPortJudge(leads(5, udp(5353)), leads(5, udp(5353)), scope)
  expect(judge(flow(node, 5353, '10.244.1.5:53'))).toBe('keep')
})

test('without host ports on localhost, flows to loopback addresses are the node’s own', () => {
  const judge = hostPortJudge(leads(5, udp(5353)), [], { ...scope, localhost: false })
  expect(judge(flow(localhost, 5353))).toBe('keep')
  expect(judge(flow(localhost, 5353, '10.244.1.5:53'))).toBe('end-lead')
})

test('TCP ports judge no flow', () => {
  const tcp = leads(5, port(5353))
  expect(hostPortJudge(tcp, tcp, scope)(flow(node, 5353))).toBe('keep')
})

test('laws: no flow ends that is led as a port says, nor one with a port that no host port ever had', () => {
  const mapping = fc.record({
    hostPort: fc.integer({ min: 1, max: 4 }),
    protocol: fc.constantFrom('udp' as const, 'tcp' as const),
    containerPort: fc.integer({ min: 1, max: 2 }),
    hostAddress: fc.constantFrom(undefined, node, second),
  })
  const pods = fc.array(fc.tuple(fc.integer({ min: 5, max: 7 }), fc.array(mapping, { maxLength: 3 })), { maxLength: 3 })
  const all = (some: readonly (readonly [number, readonly ReturnType<typeof udp>[]])[]) =>
    some.flatMap(([n, mappings]) => hostPortLeads(4, attachmentOf(n, mappings)))
  fc.assert(
    fc.property(pods, pods, (are, were) => {
      const [current, former] = [all(are), all(were)]
      const judge = hostPortJudge(current, former, scope)
      for (const { protocol, hostAddress, hostPort, target, targetPort } of current) {
        const rivals = current.filter((other) => other.hostPort === hostPort && other.protocol === protocol)
        // No two pods hold one port.
        if (protocol !== 'udp' || rivals.length > 1) continue
        expect(judge(flow(hostAddress ?? node, hostPort, `${target}:${targetPort}`))).toBe('keep')
        expect(judge(flow(hostAddress ?? node, hostPort))).toBe('end-lead')
      }
      for (const from of [undefined, '10.244.1.5:1']) expect(judge(flow(node, 5, from))).toBe('keep')
    }),
  )
})

test('rules read back as what they were made of, in whatever way iptables prints them', () => {
  for (const family of [4, 6] as const) {
    const pod = attachmentOf(5, [
      udp(5353),
      udp(5354, second),
      port(80),
      port(81, { hostAddress: parseAddress('fd00::21') }),
    ])
    const rules = hostPortRules({ ...dualSettings, family, attachments: [pod] }).chains[0]?.rules.map(formatRule) ?? []
    expect(rules.map((rule) => parseHostPortRule(family, rule))).toEqual(hostPortLeads(family, pod))
    expect(rules.map((rule) => parseHostPortRule(family, rule.replace(/-m (udp|tcp) /, '')))).toEqual(
      hostPortLeads(family, pod),
    )
  }
  expect(parseHostPortRule(4, '-j RETURN')).toBeUndefined()
})
