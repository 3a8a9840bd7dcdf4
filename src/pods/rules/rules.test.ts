import pino from 'pino'
import { expect, test, vi } from 'vitest'
import { ProtectedPorts } from '../../cluster/protected-ports.ts'
import type { IptablesTable } from '../../iptables/iptables.ts'
import type { Family } from '../../net/address.ts'
import { parseAddress } from '../../net/address.ts'
import { parseCidr } from '../../net/cidr.ts'
import type { UdpFlow } from '../../kernel/udp-flow.ts'
import { FakeFlows } from '../../../test/support/fake-flows.ts'
import { FakeIptables } from '../../../test/support/fake-iptables.ts'
import { attachmentOf, dualSettings, port } from './rule-inputs.ts'
import { PodRules, type RulesSettings } from './rules.ts'

const log = pino({ level: 'silent' })
const dnat = ['nat', 'FAIRLEAD-HOSTPORT-DNAT'] as const

function podRules(
  iptables: FakeIptables,
  {
    families = [4],
    settings = dualSettings,
    flows = new FakeFlows(),
  }: { families?: readonly Family[]; settings?: RulesSettings; flows?: FakeFlows } = {},
): PodRules {
  const rules = new PodRules({ kernel: flows, iptables, log, families })
  rules.configure(settings)
  return rules
}

/** Host ports that lead somewhere, as "PORT>ADDRESS:PORT". */
function published(iptables: FakeIptables): string[] {
  return (iptables.held(4, ...dnat) ?? []).map((rule) =>
    rule.replace(/.*--dport (\d+) .*--to-destination (\S+)/, '$1>$2'),
  )
}

test('a pass writes what is missing, the next one nothing, and neither calls it a repair', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables, { families: [4, 6] })
  const first = await rules.reconcile([attachmentOf(5, [port(8080)])])
  expect(first).toEqual({ restores: iptables.restores.length, repaired: [] })
  for (const family of [4, 6] as const)
    expect(iptables.held(family, 'nat', 'FAIRLEAD-EGRESS')).toContainEqual(expect.stringContaining('MASQUERADE'))
  expect(published(iptables)).toEqual(['8080>10.244.1.5:80'])
  expect(await rules.reconcile([])).toEqual({ restores: 0, repaired: [] })
})

test('an agent that starts again finds its rules and writes none', async () => {
  const iptables = new FakeIptables()
  const flows = new FakeFlows()
  const attachments = [attachmentOf(6, [port(1)]), attachmentOf(5, [port(2)])]
  await podRules(iptables, { flows }).reconcile(attachments)
  const again = podRules(iptables, { flows })
  for (const attachment of attachments.toReversed()) await again.add(attachment)
  expect(await again.reconcile(attachments)).toEqual({ restores: 0, repaired: [] })
  expect(flows.ended).toEqual([])
})

test('nothing is written or read before there are settings and a list of what exists', async () => {
  const iptables = new FakeIptables()
  const rules = new PodRules({ kernel: new FakeFlows(), iptables, log, families: [4] })
  await rules.add(attachmentOf(5, [port(8080)]))
  await rules.remove([attachmentOf(6, [port(8081)])])
  expect(await rules.reconcile([])).toEqual({ restores: 0, repaired: [] })
  rules.configure(dualSettings)
  await rules.add(attachmentOf(7, [port(8082)]))
  expect(iptables.restores).toEqual([])
  await rules.reconcile([])
  expect(published(iptables)).toEqual(['8080>10.244.1.5:80', '8082>10.244.1.7:80'])
})

test('adds that come while a restore runs share the next one', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  await rules.reconcile([])
  const before = iptables.restores.length
  const { resolve, promise } = Promise.withResolvers<void>()
  iptables.gate = promise
  const adds = Array.from({ length: 50 }, (_, i) => rules.add(attachmentOf(i + 2, [port(8000 + i)])))
  adds.push(rules.remove([attachmentOf(2)]))
  resolve()
  await Promise.all(adds)
  expect(published(iptables)).toHaveLength(49)
  expect(iptables.restores.length - before).toBeLessThanOrEqual(2)
})

test('a port that another pod has is refused in one sentence that names it; the holder keeps it also when the loser is removed', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  await rules.reconcile([])
  await rules.add(attachmentOf(5, [port(8080)]))
  await expect(
    rules.add(attachmentOf(6, [port(9000), port(8080, { hostAddress: parseAddress('192.168.0.21') })])),
  ).rejects.toThrow(
    'Host port 8080/tcp on 192.168.0.21 is taken by pod default/web-5; delete that pod or choose another hostPort',
  )
  await rules.remove([attachmentOf(6, [port(9000), port(8080)])])
  expect(published(iptables)).toEqual(['8080>10.244.1.5:80'])
})

test.each([
  ['another protocol', port(8080, { protocol: 'udp' })],
  ['another host address', port(8080, { hostAddress: parseAddress('192.168.0.22') })],
  ['another family', port(8080, { hostAddress: parseAddress('fd00::21') })],
])('the same port with %s is another port', async (_, mapping) => {
  const rules = podRules(new FakeIptables())
  await rules.reconcile([attachmentOf(5, [port(8080, { hostAddress: parseAddress('192.168.0.21') })])])
  await expect(rules.add(attachmentOf(6, [mapping]))).resolves.toBeUndefined()
})

test("a pod's new sandbox takes the port over from its dead one, whose late DEL changes nothing", async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  const [old, fresh] = [attachmentOf(5, [port(8080)]), attachmentOf(6, [port(8080)], { pod: attachmentOf(5).pod })]
  await rules.reconcile([old])
  await rules.add(fresh)
  expect(published(iptables)).toEqual(['8080>10.244.1.6:80'])
  await rules.remove([old])
  expect(published(iptables)).toEqual(['8080>10.244.1.6:80'])
})

test('a removed attachment stays removed, though a list made before still holds it', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  const gone = attachmentOf(5, [port(8080)])
  await rules.reconcile([gone])
  await rules.remove([gone])
  await rules.reconcile([gone])
  expect(published(iptables)).toEqual([])
  await rules.add(gone)
  expect(published(iptables)).toEqual(['8080>10.244.1.5:80'])
})

test.each(['flushed', 'deleted'])(
  'an add whose chain was %s by another program works all the same, and the next pass mends the rest',
  async (how) => {
    const iptables = new FakeIptables()
    const rules = podRules(iptables)
    const [first, second] = [attachmentOf(5, [port(8080)]), attachmentOf(6, [port(8081)])]
    await rules.reconcile([first])
    if (how === 'flushed') iptables.change(4, ...dnat, [])
    else iptables.clear()
    await rules.add(second)
    expect(published(iptables)).toContain('8081>10.244.1.6:80')
    await rules.reconcile([first, second])
    expect(published(iptables)).toEqual(expect.arrayContaining(['8080>10.244.1.5:80', '8081>10.244.1.6:80']))
  },
)

test('a port that could not be had is free again', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  await rules.reconcile([])
  iptables.gate = Promise.reject(new Error('no'))
  await expect(rules.add(attachmentOf(5, [port(8080)]))).rejects.toThrow('no')
  iptables.gate = Promise.resolve()
  await rules.add(attachmentOf(6, [port(8080)]))
  expect(published(iptables)).toEqual(['8080>10.244.1.6:80'])
})

test('what another program changed is counted, what the configuration changed is not', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  await rules.reconcile([])
  iptables.change(4, 'nat', 'FAIRLEAD-EGRESS', [])
  iptables.change(4, 'filter', 'FORWARD', [])
  expect(await rules.reconcile([])).toMatchObject({ repaired: { length: 2 } })
  rules.configure({ ...dualSettings, masquerade: false })
  expect(await rules.reconcile([])).toMatchObject({ repaired: [] })
  expect(iptables.restores.at(-1)).toContain('-X FAIRLEAD-EGRESS')
  expect([...iptables.all.keys()].filter((key) => key.includes('EGRESS'))).toEqual([])
})

test('rules for Services that come between the look and the write are stood behind at once', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  const { promise, resolve } = Promise.withResolvers<void>()
  iptables.gate = promise
  const reconciled = rules.reconcile([])
  await vi.waitFor(() => expect(iptables.restores).not.toEqual([]), 20_000)
  const jump = '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD'
  iptables.change(4, 'filter', 'KUBE-FORWARD', [])
  iptables.change(4, 'filter', 'FORWARD', [jump])
  resolve()
  await reconciled
  expect(iptables.held(4, 'filter', 'FORWARD')).toEqual([jump, expect.stringMatching(/ -j FAIRLEAD-FORWARD$/)])
  expect(await rules.reconcile([])).toEqual({ restores: 0, repaired: [] })
})

test('a flush of ours or of a built-in chain is noticed without reading a chain', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  expect(await rules.intact()).toBe(true)
  await rules.reconcile([attachmentOf(5, [port(8080)])])
  const { reads } = iptables
  const places: readonly (readonly [IptablesTable, string])[] = [
    ['nat', 'FAIRLEAD-EGRESS'],
    ['filter', 'FORWARD'],
    ['nat', 'POSTROUTING'],
    dnat,
  ]
  for (const place of places) {
    const held = iptables.held(4, ...place)!
    expect([place, await rules.intact()]).toEqual([place, true])
    iptables.change(4, ...place, [])
    expect([place, await rules.intact()]).toEqual([place, false])
    iptables.change(4, ...place, held)
  }
  expect(iptables.reads).toBe(reads)
})

test('where the kernel tells that nobody else has written, nothing is looked at again', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables)
  await rules.reconcile([])
  expect(await rules.intact()).toBe(true)
  const { probes } = iptables
  expect(await rules.intact()).toBe(true)
  expect(iptables.probes).toBe(probes)
  iptables.change(4, 'nat', 'FAIRLEAD-EGRESS', [])
  // As long as it stays damaged: one look does not make it good.
  for (const again of [1, 2]) expect([again, await rules.intact()]).toEqual([again, false])
})

test('an iptables that prints rules in its own way is written to once, not for ever', async () => {
  const iptables = new FakeIptables()
  iptables.print = (rule) =>
    rule
      .replace('-m tcp --dport', '--dport')
      .replace('0x2000/0x2000', '8192/8192')
      .replace('-m addrtype --dst-type LOCAL', '-m addrtype --dst-type local')
  const rules = podRules(iptables)
  await rules.reconcile([attachmentOf(5, [port(8080)])])
  expect(await rules.reconcile([])).toEqual({ restores: 0, repaired: [] })
  await rules.add(attachmentOf(6, [port(8081)]))
  await rules.reconcile([])
  expect(await rules.reconcile([])).toEqual({ restores: 0, repaired: [] })
  iptables.change(4, 'nat', 'FAIRLEAD-HOSTPORTS', [])
  expect(await rules.reconcile([])).toMatchObject({ repaired: { length: 1 } })
})

const past = (n: string, destination: string): UdpFlow => ({
  source: parseAddress(n),
  sourcePort: 40_001,
  destination: parseAddress(destination),
  destinationPort: 53,
  replySource: parseAddress(destination),
  replySourcePort: 53,
})

test('flows that went past a UDP host port end when it comes, and those it led when it goes, in each family', async () => {
  const iptables = new FakeIptables()
  const flows = new FakeFlows()
  flows.networks = ['192.168.0.21/32', 'fd00::21/128'].map(parseCidr)
  flows.flows = [past('192.168.0.9', '192.168.0.21'), past('fd00::9', 'fd00::21'), past('192.168.0.9', '8.8.8.8')]
  const rules = podRules(iptables, { families: [4, 6], flows })
  await rules.reconcile([])
  const pod = attachmentOf(5, [port(53, { protocol: 'udp' }), port(53)])
  await rules.add(pod)
  expect(flows.ended.map(({ destination }) => destination).toSorted()).toEqual(['192.168.0.21', 'fd00::21'])
  const led = flows.flows.map((flow, i) => ({
    ...flow,
    replySource: pod.addresses[i] ?? flow.replySource,
    replySourcePort: 80,
  }))
  flows.flows = led
  flows.ended.length = 0
  await rules.add(attachmentOf(6, [port(5354, { protocol: 'udp' })]))
  expect(flows.ended).toEqual([])
  await rules.remove([pod])
  expect(flows.ended.map(({ destination }) => destination).toSorted()).toEqual(['192.168.0.21', 'fd00::21'])
})

test('a withdrawn port whose flows could not be ended is not forgotten', async () => {
  const iptables = new FakeIptables()
  const flows = new FakeFlows()
  flows.networks = [parseCidr('192.168.0.21/32')]
  const rules = podRules(iptables, { flows })
  const pod = attachmentOf(5, [port(53, { protocol: 'udp' })])
  await rules.reconcile([pod])
  flows.flows = [
    { ...past('192.168.0.9', '192.168.0.21'), replySource: parseAddress('10.244.1.5'), replySourcePort: 80 },
  ]
  flows.fails = true
  await rules.remove([pod])
  expect(flows.ended).toEqual([])
  flows.fails = false
  await rules.reconcile([])
  expect(flows.ended).toHaveLength(1)
})

test('TCP host ports cost no walk through the conntrack table', async () => {
  const iptables = new FakeIptables()
  const flows = new FakeFlows()
  const rules = podRules(iptables, { flows })
  await rules.reconcile([])
  await rules.add(attachmentOf(5, [port(8080)]))
  await rules.remove([attachmentOf(5, [port(8080)])])
  expect(flows.walks).toBe(0)
})

test('a family without podCIDR is looked at once', async () => {
  const iptables = new FakeIptables()
  const rules = podRules(iptables, {
    families: [6],
    settings: { ...dualSettings, localPodCidrs: dualSettings.localPodCidrs.filter(({ family }) => family === 4) },
  })
  await rules.reconcile([])
  const { reads } = iptables
  await rules.reconcile([])
  expect({ reads: iptables.reads, restores: iptables.restores }).toEqual({ reads, restores: [] })
})

test('clean leaves what is not ours, and nothing that is', async () => {
  const iptables = new FakeIptables()
  iptables.change(4, 'nat', 'KUBE-SERVICES', [])
  iptables.change(4, 'nat', 'PREROUTING', ['-j KUBE-SERVICES'])
  const rules = podRules(iptables)
  await rules.reconcile([attachmentOf(5, [port(8080)])])
  await rules.clean()
  expect(Object.fromEntries(iptables.all)).toEqual({
    '4 nat PREROUTING': ['-j KUBE-SERVICES'],
    '4 nat KUBE-SERVICES': [],
  })
})

test('a host port that the node needs is not published, and the pod is told; all others are', async () => {
  const iptables = new FakeIptables()
  const needs = (hostPort: number): ProtectedPorts =>
    new ProtectedPorts([
      { neededBy: 'the VXLAN of the nodes', protocol: 'tcp', port: hostPort, addresses: [node], onThisNode: true },
    ])
  const node = parseAddress('192.168.0.21')
  const rules = podRules(iptables, { settings: { ...dualSettings, needed: needs(8472) } })
  await rules.reconcile([])
  await rules.add(attachmentOf(5, [port(8472), port(8080)]))
  await rules.add(attachmentOf(6, [port(8473, { hostAddress: node })]))
  expect(published(iptables).toSorted()).toEqual(['8080>10.244.1.5:80', '8473>10.244.1.6:80'])
  const regarding = { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'web-5', uid: 'uid-5' }
  expect(rules.problems).toEqual([
    {
      sentence:
        'Pod default/web-5 does not get host port 8472/tcp: the VXLAN of the nodes needs it; give the pod another, or set protectNodeTraffic to false',
      reason: 'host-port-protected',
      event: { regarding, reason: 'HostPortProtected', action: 'PublishHostPort' },
    },
  ])
  rules.configure({ ...dualSettings, needed: needs(8080) })
  await rules.reconcile([])
  expect(published(iptables).toSorted()).toEqual(['8472>10.244.1.5:80', '8473>10.244.1.6:80'])
  expect(rules.problems.map(({ sentence }) => sentence)).toEqual([expect.stringContaining('host port 8080/tcp')])
})

test('flows that a host port led before it was refused end, and those of the node itself go on', async () => {
  const iptables = new FakeIptables()
  const flows = new FakeFlows()
  const flow = (replySource: string): UdpFlow => ({
    source: parseAddress('192.168.0.22'),
    sourcePort: 40_000,
    destination: parseAddress('192.168.0.21'),
    destinationPort: 8472,
    replySource: parseAddress(replySource),
    replySourcePort: replySource.startsWith('192') ? 8472 : 80,
  })
  await podRules(iptables, { flows }).reconcile([attachmentOf(5, [port(8472, { protocol: 'udp' })])])
  flows.flows = [flow('10.244.1.5'), flow('192.168.0.21')]
  flows.ended.length = 0
  flows.networks = [parseCidr('192.168.0.21/32')]
  // The next agent protects it: it finds the rule and the attachment.
  const needed = new ProtectedPorts([
    { neededBy: 'the VXLAN', protocol: 'udp', port: 8472, addresses: [], onThisNode: true },
  ])
  const next = podRules(iptables, { flows, settings: { ...dualSettings, needed } })
  await next.reconcile([attachmentOf(5, [port(8472, { protocol: 'udp' })])])
  expect(published(iptables)).toEqual([])
  expect(flows.ended).toMatchObject([{ destinationPort: 8472, replySource: '10.244.1.5' }])
})
