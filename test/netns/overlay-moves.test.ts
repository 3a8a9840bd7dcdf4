// What may change about a running cluster: modes, addresses, uplinks, podCIDRs, ports.
import { expect, test } from 'vitest'
import { parseAddress } from '../../src/net/address.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { addressPod, batch, converge, entries, reaches, type TestNode, underlay } from './overlay-cluster.ts'
import { describeKernel, scratchNamespace, wire } from './scratch.ts'

describeKernel('overlay moves', () => {
  test('vxlan -> direct -> auto -> vxlan: near peers are reached in each, the far one where a tunnel or router leads to it', async () => {
    await using net = await underlay()
    await using router = await scratchNamespace()
    await wire({ namespace: router, device: 'wan' }, { namespace: net.switch, device: 'portr' })
    await net.switch.run('ip', ['link', 'set', 'portr', 'master', 'br0'])
    await batch(router, ['addr add 192.168.0.254/24 dev wan', 'addr add 192.168.5.254/24 dev wan'])
    await router.kernel.writeSysctl('net/ipv4/ip_forward', '1')
    const [a, b, far] = [
      await net.addNode(1, at('192.168.0.1')),
      await net.addNode(2, at('192.168.0.2')),
      await net.addNode(3, at('192.168.5.3')),
    ]
    const nodes = [a, b, far]
    const reached = async (): Promise<boolean[]> => [
      await reaches(a.pod, b.object),
      await reaches(a.pod, far.object),
      await reaches(far.pod, b.object),
    ]

    await converge(nodes)
    expect(await reached()).toEqual([true, true, true])

    const [direct] = await converge(nodes, { mode: 'direct' })
    expect(direct).toMatchObject({
      failures: [],
      podMtu: 1500,
      peers: 1,
      problems: [
        'Node node-3 is not on eth0 in IPv4, so no direct route leads to its pods; use overlay mode auto or vxlan',
      ],
    })
    expect(await reached()).toEqual([true, false, false])
    expect(await reaches(a.pod, b.object, { bytes: 1500 })).toBe(true)
    expect(await a.namespace.run('ip', ['-br', 'link', 'show'])).not.toContain('fairlead.1')
    expect(await routesOf(a)).toEqual(['10.244.2.0/24 via 192.168.0.2 dev eth0'])

    const [auto] = await converge(nodes, { mode: 'auto' })
    expect(auto).toMatchObject({ failures: [], problems: [], podMtu: 1450, peers: 2 })
    expect(await reached()).toEqual([true, true, true])
    expect(await entries(a)).toEqual({
      routes: ['10.244.2.0/24 via 192.168.0.2 dev eth0', '10.244.3.0/24 via 10.244.3.0 dev fairlead.1 onlink'],
      neighbours: ['10.244.3.0 lladdr 02:58:0a:f4:03:00 PERMANENT'],
      fdb: ['02:58:0a:f4:03:00 dst 192.168.5.3 self permanent'],
    })
    for (const { changes } of await converge(nodes, { mode: 'auto' })) expect(changes).toEqual([])

    await converge(nodes)
    expect(await reached()).toEqual([true, true, true])
    expect(await routesOf(a)).toEqual([
      '10.244.2.0/24 via 10.244.2.0 dev fairlead.1 onlink',
      '10.244.3.0/24 via 10.244.3.0 dev fairlead.1 onlink',
    ])
  })

  test('direct routes for both families, and back', async () => {
    await using net = await underlay()
    const nodes = [await net.addNode(1), await net.addNode(2)] as const
    const [a, b] = nodes
    for (const mode of ['direct', 'vxlan', 'auto', 'vxlan', 'direct'] as const) {
      for (const { failures, problems } of await converge(nodes, { mode, families: [4, 6] }))
        expect([mode, failures, problems]).toEqual([mode, [], []])
      expect([mode, await reaches(a.pod, b.object), await reaches(a.pod, b.object, { family: 6 })]).toEqual([
        mode,
        true,
        true,
      ])
      for (const { changes } of await converge(nodes, { mode, families: [4, 6] }))
        expect([mode, changes]).toEqual([mode, []])
      expect(await routesOf(a)).toHaveLength(2)
    }
  })

  test('a node gets another address, then another uplink: the device lives on', async () => {
    await using net = await underlay()
    const [a, b] = [await net.addNode(1), await net.addNode(2)]
    await converge([a, b])
    const index = await deviceIndex(a)

    await batch(a.namespace, ['addr del 192.168.0.1/24 dev eth0', 'addr add 192.168.0.51/24 dev eth0'])
    const renumbered = { ...a, object: { ...a.object, internalAddresses: [parseAddress('192.168.0.51')] } }
    const [moved, told] = await converge([renumbered, b])
    expect([moved?.changes, told?.changes].map((changes) => changes?.map(({ kind }) => kind))).toEqual([
      ['link'],
      ['fdb'],
    ])
    expect(await reaches(a.pod, b.object)).toBe(true)

    await wire(
      { namespace: a.namespace, device: 'eth1', address: '192.168.0.61/24' },
      { namespace: net.switch, device: 'port1b' },
    )
    await net.switch.run('ip', ['link', 'set', 'port1b', 'master', 'br0'])
    await batch(a.namespace, ['link set eth0 down', 'link set eth1 mtu 1400'])
    const [uplinked] = await converge([
      { ...a, object: { ...a.object, internalAddresses: [parseAddress('192.168.0.61')] } },
      b,
    ])
    expect(uplinked).toMatchObject({ podMtu: 1350, failures: [] })
    expect(await reaches(a.pod, b.object)).toBe(true)
    expect(await deviceIndex(a)).toBe(index)
  })

  test('a changed podCIDR re-derives MAC and address, here and on the peers', async () => {
    await using net = await underlay()
    const [a, b] = [await net.addNode(1), await net.addNode(2)]
    await converge([a, b], { families: [4, 6] })
    const object = { ...a.object, podCidrs: [parseCidr('fd00:244:9::/64'), parseCidr('10.244.9.0/24')] }
    await addressPod(a.namespace, a.pod, object)
    for (const { failures, problems } of await converge([{ ...a, object }, b], { families: [4, 6] }))
      expect({ failures, problems }).toEqual({ failures: [], problems: [] })

    expect([
      await reaches(b.pod, object),
      await reaches(b.pod, object, { family: 6 }),
      await reaches(a.namespace, b.object),
    ]).toEqual([true, true, true])
    expect(await a.namespace.run('ip', ['addr', 'show', 'dev', 'fairlead.1'])).toMatch(
      /02:58:0a:f4:09:00[^]*inet 10\.244\.9\.0\/32[^]*inet6 fd00:244:9::\/128/,
    )
    expect(await a.namespace.run('ip', ['addr', 'show', 'dev', 'fairlead.1'])).not.toMatch(/10\.244\.1\.0|fd00:244:1::/)
    expect(await entries(b)).toEqual({
      routes: [
        '10.244.9.0/24 via 10.244.9.0 dev fairlead.1 onlink',
        'fd00:244:9::/64 via fd00:244:9:: dev fairlead.1 metric 1024 onlink pref medium',
      ],
      neighbours: ['10.244.9.0 lladdr 02:58:0a:f4:09:00 PERMANENT', 'fd00:244:9:: lladdr 02:58:0a:f4:09:00 PERMANENT'],
      fdb: ['02:58:0a:f4:09:00 dst 192.168.0.1 self permanent'],
    })
  })

  test('another port or another outer family makes the device anew, with all that was on it', async () => {
    await using net = await underlay()
    const [a, b] = [await net.addNode(1), await net.addNode(2)]
    for (const settings of [{}, { port: 4789 }, { port: 4789, vni: 42 }, { families: [6, 4] as const }, {}]) {
      for (const { failures } of await converge([a, b], settings)) expect(failures).toEqual([])
      expect([settings, await reaches(a.pod, b.object)]).toEqual([settings, true])
    }
    expect((await entries(a)).fdb).toEqual(['02:58:0a:f4:02:00 dst 192.168.0.2 self permanent'])
  })
})

function at(address: string): { addresses: string[]; routes: string[] } {
  return { addresses: [`${address}/24`], routes: [`default via ${address.replace(/\d+$/, '254')} dev eth0`] }
}

async function routesOf(node: TestNode): Promise<string[]> {
  const printed = await Promise.all(
    ['-4', '-6'].map((family) => node.namespace.run('ip', [family, 'route', 'show', 'proto', '98'])),
  )
  return printed.flatMap((text) =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean),
  )
}

async function deviceIndex({ namespace }: TestNode): Promise<string | undefined> {
  return (await namespace.run('ip', ['-o', 'link', 'show', 'dev', 'fairlead.1'])).split(':')[0]
}
