// Real packets through the pod rules: who is reached, and with which address the server sees the client.
import { expect, test } from 'vitest'
import { parseAddress } from '../../src/net/address.ts'
import { port } from '../../src/pods/rules/rule-inputs.ts'
import {
  forgeLoopback,
  nodeAddress,
  outsideAddress,
  podAt,
  remotePod,
  rulesNode,
  savedRules,
  seenFrom,
  settings,
} from './rules-node.ts'
import { describeKernel } from './scratch.ts'

// What becomes of a packet depends on the rules alone, so most of it is tried on one backend.
const backends = ['nft', 'legacy'] as const

describeKernel('pod rules', () => {
  test('egress is masqueraded, except to pods and where it is exempt', async () => {
    await using net = await rulesNode('nft')
    const {
      pods: [pod, neighbour],
      outside,
      rules,
    } = net
    await net.serve(outside, 9000)
    await net.serve(neighbour, 9000)
    await rules.reconcile([])
    expect(await seenFrom(pod, `${outsideAddress}:9000`)).toBe(nodeAddress)
    expect(await seenFrom(pod, `${remotePod}:9000`)).toBe('10.244.1.5')
    expect(await seenFrom(pod, '10.244.1.6:9000')).toBe('10.244.1.5')

    // Without masquerading nothing comes back from where no route to pods is known.
    rules.configure({ ...settings, masquerade: false })
    await rules.reconcile([])
    expect(await seenFrom(pod, `${outsideAddress}:9000`)).toBeUndefined()
    await outside.run('ip', ['route', 'add', '10.244.1.0/24', 'via', nodeAddress])
    expect(await seenFrom(pod, `${outsideAddress}:9000`)).toBe('10.244.1.5')
  })

  test.each(backends)(
    '%s: a host port keeps the client from outside, and works from the pod itself, its neighbour, the node and localhost',
    async (backend) => {
      await using net = await rulesNode(backend)
      const {
        node,
        pods: [pod, neighbour],
        outside,
        rules,
      } = net
      await net.serve(pod, 80)
      await net.serve(pod, 5353, { protocol: 'UDP' })
      await rules.reconcile([])
      expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBeUndefined()
      // This flow is one that conntrack would keep away from the pod.
      expect(
        await seenFrom(outside, `${nodeAddress}:53`, { protocol: 'UDP', source: `${outsideAddress}:4444` }),
      ).toBeUndefined()

      await rules.add(podAt(5, [port(8080), port(53, { protocol: 'udp', containerPort: 5353 })]))
      expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBe(outsideAddress)
      expect(await seenFrom(outside, `${nodeAddress}:53`, { protocol: 'UDP', source: `${outsideAddress}:4444` })).toBe(
        outsideAddress,
      )
      expect(await seenFrom(pod, `${nodeAddress}:8080`)).toBe('10.244.1.1')
      expect(await seenFrom(neighbour, `${nodeAddress}:8080`)).toBe('10.244.1.1')
      expect(await seenFrom(node, `${nodeAddress}:8080`)).toBe(nodeAddress)
      expect(await seenFrom(node, '127.0.0.1:8080')).toBe('10.244.1.1')

      await rules.remove([podAt(5, [])])
      expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBeUndefined()
    },
  )

  test('a host port on one address leaves the others alone', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod],
      outside,
      rules,
    } = net
    await node.run('ip', ['addr', 'add', '192.168.0.22/24', 'dev', 'eth0'])
    await net.serve(pod, 80)
    await rules.reconcile([
      podAt(5, [
        port(8080, { hostAddress: parseAddress('192.168.0.22') }),
        port(8081, { hostAddress: parseAddress('127.0.0.1') }),
      ]),
    ])
    expect(await seenFrom(outside, '192.168.0.22:8080')).toBe(outsideAddress)
    expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBeUndefined()
    expect(await seenFrom(node, '127.0.0.1:8081')).toBe('10.244.1.1')
    // A forged loopback destination from the wire must not be carried to the pod.
    await forgeLoopback(outside, nodeAddress)
    expect(await seenFrom(outside, '127.0.0.1:8081', { source: outsideAddress })).toBeUndefined()
  })

  test('localhost off leaves the ports of 127.0.0.1 to the node', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod],
      outside,
      rules,
    } = net
    await net.serve(pod, 80)
    await net.serve(node, 8080, { host: '127.0.0.1' })
    rules.configure({ ...settings, localhostHostPorts: false })
    await rules.reconcile([podAt(5, [port(8080)])])
    expect(await seenFrom(node, '127.0.0.1:8080')).toBe('127.0.0.1')
    expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBe(outsideAddress)
  })

  test('a pod cannot reach what the node serves on 127.0.0.1', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod],
      rules,
    } = net
    await net.serve(node, 9001, { host: '127.0.0.1' })
    await forgeLoopback(pod, '10.244.1.1')
    // The hole is real: route_localnet alone opens it.
    expect(await seenFrom(pod, '127.0.0.1:9001', { source: '10.244.1.5' })).toBe('10.244.1.5')
    await rules.reconcile([])
    await node.run('conntrack', ['-F'])
    expect(await seenFrom(pod, '127.0.0.1:9001', { source: '10.244.1.5' })).toBeUndefined()

    // Nor can it pretend to be the node itself: the counter of the rule says that it was this one.
    await pod.run('ip', ['addr', 'add', '127.0.0.2/32', 'dev', 'eth0'])
    await pod.run('socat', ['-u', '-', 'UDP4-SENDTO:10.244.1.1:9001,bind=127.0.0.2'], { input: 'x' })
    expect(await node.run('iptables-nft', ['-t', 'mangle', '-v', '-S', 'FAIRLEAD-LOCALNET'])).toMatch(
      /-s 127\.0\.0\.0\/8 .*-c 1 /,
    )
  })

  test('what goes to the node and is no host port leaves without our mark, whoever sends it', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod],
      outside,
      rules,
    } = net
    await net.serve(node, 9002)
    await rules.reconcile([podAt(5, [port(8080)])])
    // Whoever meets the mark is turned away: a leftover one shows as no answer. VXLAN would hand it on to the inner
    // packet.
    await node.run('iptables-nft', ['-A', 'INPUT', '-m', 'mark', '--mark', '0x2000/0x2000', '-j', 'REJECT'])
    expect(await seenFrom(outside, `${nodeAddress}:9002`)).toBe(outsideAddress)
    expect(await seenFrom(pod, `${nodeAddress}:9002`)).toBe('10.244.1.5')
    expect(await seenFrom(node, '127.0.0.1:9002')).toBe('127.0.0.1')
  })

  test("forwarding survives another program's FORWARD policy and rules", async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod],
      outside,
      rules,
    } = net
    await net.serve(outside, 9000)
    await net.serve(pod, 80)
    await node.run('iptables-nft', ['-P', 'FORWARD', 'DROP'])
    await node.run('iptables-nft', ['-A', 'FORWARD', '-j', 'REJECT'])
    expect(await seenFrom(pod, `${remotePod}:9000`)).toBeUndefined()
    await rules.reconcile([podAt(5, [port(8080)])])
    expect(await seenFrom(pod, `${remotePod}:9000`)).toBe('10.244.1.5')
    expect(await seenFrom(pod, `${outsideAddress}:9000`)).toBe(nodeAddress)
    expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBe(outsideAddress)
  })

  test('kube-proxy comes first, also when it comes later', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod, other],
      outside,
      rules,
    } = net
    await net.serve(pod, 80)
    await net.serve(other, 80)
    await rules.reconcile([podAt(5, [port(8080)])])
    // A Service on the same local address and port, appended where it would lose.
    await node.iptables.restore(
      4,
      [
        '*nat',
        ':KUBE-SERVICES - [0:0]',
        '-A KUBE-SERVICES -d 192.168.0.21/32 -p tcp --dport 8080 -j DNAT --to-destination 10.244.1.6:80',
        '-A PREROUTING -j KUBE-SERVICES',
        'COMMIT',
        '',
      ].join('\n'),
    )
    await net.serve(other, 81)
    const { repaired } = await rules.reconcile([])
    expect(repaired).toHaveLength(1)
    expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBe(outsideAddress)
    expect(await node.run('conntrack', ['-L', '-p', 'tcp', '--orig-port-dst', '8080'])).toContain('src=10.244.1.6')
    expect(await rules.reconcile([])).toEqual({ restores: 0, repaired: [] })
  })

  test.each(backends)(
    '%s: whatever is flushed comes back, a second pass writes nothing, and clean leaves what was there before',
    async (backend) => {
      await using net = await rulesNode(backend)
      const {
        node,
        pods: [pod],
        outside,
        rules,
      } = net
      await net.serve(pod, 80)
      await node.iptables.restore(
        4,
        [
          '*nat',
          ':KUBE-POSTROUTING - [0:0]',
          '-A POSTROUTING -j KUBE-POSTROUTING',
          '-A PREROUTING -s 192.0.2.1/32 -j ACCEPT',
          'COMMIT',
          '*filter',
          '-A FORWARD -s 192.0.2.1/32 -j DROP',
          'COMMIT',
          '',
        ].join('\n'),
      )
      const before = await savedRules(node, backend)
      const attachments = [podAt(5, [port(8080)])]
      await rules.reconcile(attachments)
      expect(await rules.reconcile(attachments)).toEqual({ restores: 0, repaired: [] })
      const whole = await savedRules(node, backend)

      for (const [table, chain] of [
        ['nat', 'FAIRLEAD-HOSTPORT-DNAT'],
        ['nat', 'FAIRLEAD-EGRESS'],
        ['nat', 'PREROUTING'],
        ['filter', 'FORWARD'],
        ['mangle', 'FAIRLEAD-LOCALNET'],
      ] as const) {
        const kept = (await node.run(`iptables-${backend}`, ['-t', table, '-S', chain]))
          .split('\n')
          .filter((rule) => rule.includes('192.0.2.1'))
        await node.run(`iptables-${backend}`, ['-t', table, '-F', chain])
        for (const rule of kept) await node.run(`iptables-${backend}`, ['-t', table, ...rule.split(' ')])
        expect([chain, (await rules.reconcile(attachments)).repaired.length]).toEqual([chain, 1])
      }
      expect((await savedRules(node, backend)).split('\n').toSorted()).toEqual(whole.split('\n').toSorted())
      expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBe(outsideAddress)

      // What an iptables upgrade or a firewall restart does: all of it at once.
      for (const table of ['filter', 'nat', 'mangle'])
        for (const flag of ['-F', '-X']) await node.run(`iptables-${backend}`, ['-t', table, flag])
      await rules.reconcile(attachments)
      expect(await seenFrom(outside, `${nodeAddress}:8080`)).toBe(outsideAddress)

      for (const table of ['filter', 'nat', 'mangle'])
        for (const flag of ['-F', '-X']) await node.run(`iptables-${backend}`, ['-t', table, flag])
      await node.iptables.restore(
        4,
        [
          '*nat',
          ':KUBE-POSTROUTING - [0:0]',
          '-A POSTROUTING -j KUBE-POSTROUTING',
          '-A PREROUTING -s 192.0.2.1/32 -j ACCEPT',
          'COMMIT',
          '*filter',
          '-A FORWARD -s 192.0.2.1/32 -j DROP',
          'COMMIT',
          '',
        ].join('\n'),
      )
      await rules.reconcile(attachments)
      await rules.clean()
      expect(await savedRules(node, backend)).toBe(before)
    },
  )

  test('IPv6: host ports and egress work alike', async () => {
    await using net = await rulesNode('nft')
    const {
      pods: [pod],
      outside,
      rules,
    } = net
    await net.serve(pod, 80, { family: 6 })
    await net.serve(outside, 9000, { family: 6 })
    await rules.reconcile([podAt(5, [port(8080)])])
    expect(await seenFrom(outside, '[fd00::21]:8080')).toBe('fd00::9')
    expect(await seenFrom(pod, '[fd00::21]:8080')).toBe('fd00:244:1::1')
    expect(await seenFrom(pod, '[fd00::9]:9000')).toBe('fd00::21')
  })
})
