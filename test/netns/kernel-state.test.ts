import { expect, test, vi } from 'vitest'
import * as links from '../../src/kernel/link-changes.ts'
import * as qdiscs from '../../src/kernel/qdisc-changes.ts'
import * as routes from '../../src/kernel/route-changes.ts'
import { parseAddress } from '../../src/net/address.ts'
import { formatCidr, parseCidr } from '../../src/net/cidr.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import { macOf, parseMac } from '../../src/net/mac.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace, wire } from './scratch.ts'

const eth0 = parseInterfaceName('eth0')
const bridge = parseInterfaceName('cni0')
const vtep = parseInterfaceName('fairlead.1')
const mac = parseMac('02:58:0a:f4:02:00')

/** A node with an uplink, and the node it leads to. */
async function uplink(): Promise<AsyncDisposable & { node: ScratchNamespace }> {
  const node = await scratchNamespace()
  const other = await scratchNamespace()
  await wire(
    { namespace: node, device: 'eth0', address: '192.168.0.21/24' },
    { namespace: other, device: 'eth0', address: '192.168.0.22/24' },
  )
  await node.run('ip', ['addr', 'add', 'fd00:21::21/64', 'dev', 'eth0', 'nodad'])
  return {
    node,
    [Symbol.asyncDispose]: async () => {
      await other[Symbol.asyncDispose]()
      await node[Symbol.asyncDispose]()
    },
  }
}

async function link(ns: ScratchNamespace, name: string) {
  return (await ns.kernel.links()).find((each) => each.name === name)
}

describeKernel('other namespaces', () => {
  test('tell of their changes by the id that they have here', async () => {
    await using ns = await scratchNamespace()
    await using pod = await scratchNamespace()
    await using other = await scratchNamespace()
    for (const [device, namespace] of [
      ['veth0', pod],
      ['veth1', other],
    ] as const)
      await wire({ namespace: ns, device }, { namespace, device: 'eth0' })
    const heard = new Set<number | undefined>()
    ns.kernel.onNamespaceChange((namespace) => heard.add(namespace))
    const id = (await link(ns, 'veth0'))?.peer?.namespace
    // The first changes may come before the monitor listens.
    await vi.waitFor(
      async () => {
        await pod.run('ip', ['route', 'replace', '10.9.0.0/16', 'dev', 'eth0'])
        await pod.run('ip', ['route', 'del', '10.9.0.0/16'])
        expect([...heard]).toContain(id)
      },
      { timeout: 60_000, interval: 100 },
    )
    expect([...heard]).toEqual([id])
  })
})

describeKernel('link changes, read back', () => {
  test('a bridge and its addresses', async () => {
    await using ns = await scratchNamespace()
    const gateway = parseAddress('10.244.1.1')
    const gateway6 = parseAddress('fd00:244:1::1')
    expect(
      await ns.kernel.apply([
        links.addBridge(bridge, { mac, mtu: 1450 }),
        links.setUp(bridge),
        links.replaceAddress(bridge, gateway, 24),
        links.replaceAddress(bridge, gateway6, 64),
      ]),
    ).toEqual([])
    expect(await link(ns, 'cni0')).toMatchObject({
      mac,
      mtu: 1450,
      up: true,
      group: 98,
      type: 'bridge',
      vxlan: undefined,
      master: undefined,
      peer: undefined,
      hairpin: undefined,
    })
    expect((await link(ns, 'cni0'))?.addresses).toEqual(
      expect.arrayContaining([
        { address: gateway, prefix: 24, scope: 'global' },
        { address: gateway6, prefix: 64, scope: 'global' },
      ]),
    )
    const other = parseMac('02:00:00:00:00:09')
    expect(
      await ns.kernel.apply([
        links.deleteAddress(bridge, gateway, 24),
        links.setMtu(bridge, 1400),
        links.setMac(bridge, other),
        links.setAlias(bridge, 'shop/web-1; reboot'),
      ]),
    ).toEqual([])
    expect(await link(ns, 'cni0')).toMatchObject({ mtu: 1400, mac: other, alias: 'shop/web-1reboot' })
    expect((await link(ns, 'cni0'))?.addresses.some(({ address }) => address === gateway)).toBe(false)
    expect(await ns.kernel.apply([links.deleteLink(bridge)])).toEqual([])
    expect(await link(ns, 'cni0')).toBeUndefined()
  })

  test('veths: a port, hairpin, retired and deleted as a group', async () => {
    await using ns = await scratchNamespace()
    await using pod = await scratchNamespace()
    const host = parseInterfaceName('veth0')
    const podMac = macOf('pod', parseAddress('10.244.1.5'))
    const add = links.addVeth(host, { mtu: 1450, master: bridge, pod: eth0, podMac, netns: pod.path })
    expect(await ns.kernel.apply([links.addBridge(bridge, { mac, mtu: 1450 }), add, links.setHairpin(host)])).toEqual(
      [],
    )
    expect(await link(ns, 'veth0')).toMatchObject({
      type: 'veth',
      master: 'cni0',
      hairpin: true,
      up: true,
      carrier: false,
      group: 98,
      mtu: 1450,
    })
    const inside = await link(pod, 'eth0')
    expect(inside).toMatchObject({ type: 'veth', mac: podMac, mtu: 1450, up: false })
    // Either end leads to the other: by its index, and by the id of the namespace that it is in.
    const outside = await link(ns, 'veth0')
    expect([outside?.peer?.index, inside?.peer?.index]).toEqual([inside?.index, outside?.index])
    expect((await ns.kernel.namespacePaths()).get(outside?.peer?.namespace ?? -1)).toBe(pod.path)
    // The name is taken inside: nothing is made outside.
    const second = links.addVeth(parseInterfaceName('veth1'), {
      mtu: 1450,
      master: bridge,
      pod: eth0,
      podMac,
      netns: pod.path,
    })
    expect(await ns.kernel.apply([second])).toMatchObject([{ error: { kind: 'exists' } }])
    expect(await link(ns, 'veth1')).toBeUndefined()

    expect(await ns.kernel.apply([links.retireVeth(host)])).toEqual([])
    expect(await link(ns, 'veth0')).toMatchObject({ up: false, master: undefined, hairpin: undefined, group: 99 })
    expect(
      await ns.kernel.apply([links.setMaster(host, bridge), links.retireVeth(host), links.deleteRetired()]),
    ).toEqual([])
    expect(await link(ns, 'veth0')).toBeUndefined()
    expect(await ns.kernel.apply([links.deleteRetired()])).toMatchObject([{ error: { kind: 'missing' } }])
  })

  test('a VXLAN device for either family, moved while it runs', async () => {
    await using net = await uplink()
    const { node } = net
    const local = parseAddress('192.168.0.21')
    const local6 = parseAddress('fd00:21::21')
    const settings = { mac, mtu: 1430, vni: 1, port: 8472, device: eth0 }
    expect(await node.kernel.apply([links.addVxlan(vtep, { ...settings, local })])).toEqual([])
    expect(await link(node, 'fairlead.1')).toMatchObject({
      type: 'vxlan',
      mac,
      mtu: 1430,
      group: 98,
      vxlan: { vni: 1, port: 8472, local, device: 'eth0', learning: false },
    })
    expect(
      await node.kernel.apply([links.addVxlan(parseInterfaceName('other.1'), { ...settings, local })]),
    ).toMatchObject([{ error: { kind: 'conflict' } }])
    await node.run('ip', ['addr', 'add', '192.168.0.31/24', 'dev', 'eth0'])
    const moved = parseAddress('192.168.0.31')
    expect(await node.kernel.apply([links.moveVxlan(vtep, { vni: 1, local: moved, device: eth0 })])).toEqual([])
    expect((await link(node, 'fairlead.1'))?.vxlan?.local).toBe(moved)
    expect(
      await node.kernel.apply([links.deleteLink(vtep), links.addVxlan(vtep, { ...settings, local: local6 })]),
    ).toEqual([])
    expect((await link(node, 'fairlead.1'))?.vxlan?.local).toBe(local6)
  })

  test('an ifb with its limits', async () => {
    await using ns = await scratchNamespace()
    const ifb = parseInterfaceName('bwp0123456789')
    const limit = { rateBits: 10_000_000, burstBits: 256_000, latencyMs: 25 }
    const add = [
      links.addBridge(bridge, { mac, mtu: 1450 }),
      qdiscs.addIfb(ifb),
      qdiscs.addTbf(ifb, limit),
      qdiscs.addTbf(bridge, limit),
      qdiscs.addIngressQdisc(bridge),
      qdiscs.redirectIngress(bridge, ifb),
    ]
    expect(await ns.kernel.apply(add)).toEqual([])
    expect(await link(ns, ifb)).toMatchObject({ type: 'ifb', group: 98, up: true })
    const shown = await ns.run('tc', ['qdisc', 'show', 'dev', ifb])
    expect(shown).toContain('tbf')
    expect(shown).toContain('rate 10Mbit burst 32000b lat 25ms')
    expect(await ns.run('tc', ['filter', 'show', 'dev', 'cni0', 'parent', 'ffff:'])).toMatch(
      new RegExp(`match 00000000/00000000 at 0[^]*Egress Redirect to device ${ifb}`),
    )
    // Again, and with another limit: no second filter, no failure but the ingress qdisc's.
    expect(
      await ns.kernel.apply([
        qdiscs.addTbf(ifb, { ...limit, rateBits: 20_000_000 }),
        qdiscs.addIngressQdisc(bridge),
        qdiscs.redirectIngress(bridge, ifb),
      ]),
    ).toMatchObject([{ error: { kind: 'exists' } }])
    expect(await ns.run('tc', ['qdisc', 'show', 'dev', ifb])).toContain('rate 20Mbit')
    expect((await ns.run('tc', ['filter', 'show', 'dev', 'cni0', 'parent', 'ffff:'])).match(/Redirect/g)).toHaveLength(
      1,
    )
    const remove = [qdiscs.deleteQdisc(bridge, 'root'), qdiscs.deleteQdisc(bridge, 'ingress')]
    expect(await ns.kernel.apply(remove)).toEqual([])
    expect((await ns.kernel.apply(remove)).map(({ error }) => error.kind)).toEqual(['missing', 'missing'])
  })
})

describeKernel('routes, neighbours and FDB entries, read back', () => {
  test.each([
    {
      family: 4,
      far: '192.168.0.22',
      own: '192.168.0.21',
      pods: '10.244.2.0/24',
      net: '10.244.2.0',
      host: '10.244.3.7',
      anywhere: '0.0.0.0/0',
    },
    {
      family: 6,
      far: 'fd00:21::22',
      own: 'fd00:21::21',
      pods: 'fd00:244:2::/64',
      net: 'fd00:244:2::',
      host: 'fd00:244:3::7',
      anywhere: '::/0',
    },
  ] as const)('IPv$family', async ({ family, far, own, pods, net, host, anywhere }) => {
    await using both = await uplink()
    const { kernel } = both.node
    const peer = parseAddress(far)
    const local = parseAddress(own)
    const gateway = parseAddress(net)
    const destination = parseCidr(pods)
    expect(
      await kernel.apply([
        links.addVxlan(vtep, { mac: macOf('vtep', local), mtu: 1430, vni: 1, port: 8472, local, device: eth0 }),
        links.setUp(vtep),
      ]),
    ).toEqual([])
    expect(await kernel.routes(family, { device: vtep, ours: true })).toEqual([])
    expect((await kernel.fdb(vtep)).filter((entry) => entry.destination !== undefined)).toEqual([])
    const changes = [
      routes.replaceNeighbour(vtep, gateway, mac),
      routes.replaceFdb(vtep, mac, peer),
      routes.replaceRoute({ destination, gateway, device: vtep, onlink: true }),
      routes.replaceRoute({
        destination: parseCidr(`${host}/${family === 4 ? 32 : 128}`),
        gateway: peer,
        device: eth0,
        source: local,
      }),
      routes.addPodDefaultRoute(family, peer, eth0),
      routes.addPodGatewayRoute(parseAddress(host), eth0),
    ]
    expect(await kernel.apply(changes)).toEqual([])
    // Twice is as good as once.
    expect(await kernel.apply(changes)).toEqual([])

    const overlay = {
      family,
      destination,
      gateway,
      device: 'fairlead.1',
      source: undefined,
      protocol: 98,
      onlink: true,
    }
    expect(await kernel.routes(family, { device: vtep, ours: true })).toMatchObject([overlay])
    expect(await kernel.routes(family, { ours: true })).toContainEqual(expect.objectContaining(overlay))
    const all = await kernel.routes(family)
    expect(all.find((route) => formatCidr(route.destination) === anywhere)).toMatchObject({
      gateway: peer,
      device: 'eth0',
      protocol: 3,
      onlink: false,
    })
    expect(all.filter((route) => route.destination.network === host)).not.toEqual([])
    expect(await kernel.neighbours(family, vtep)).toContainEqual({ address: gateway, mac, permanent: true })
    expect(await kernel.fdb(vtep)).toContainEqual({ mac, destination: peer, self: true, permanent: true })

    expect(
      await kernel.apply([
        routes.deleteRoute({ destination, device: vtep }),
        routes.deleteNeighbour(vtep, gateway),
        routes.deleteFdb(vtep, mac, peer),
      ]),
    ).toEqual([])
    expect(await kernel.routes(family, { device: vtep, ours: true })).toEqual([])
    expect((await kernel.neighbours(family, vtep)).filter(({ permanent }) => permanent)).toEqual([])
    expect(await kernel.fdb(vtep)).not.toContainEqual(expect.objectContaining({ destination: peer }))
    // What is not ours stays.
    expect(await kernel.apply([routes.deleteRoute({ destination: parseCidr(anywhere) })])).toMatchObject([
      { error: { kind: 'missing' } },
    ])
  })

  test('routes of others in all their shapes', async () => {
    await using net = await uplink()
    const { node } = net
    await node.run('sh', [
      '-c',
      'ip route add unreachable 10.66.0.0/16; ip route add 10.67.0.0/16 nexthop via 192.168.0.7 nexthop via 192.168.0.8; ip route add 10.68.0.0/16 via inet6 fd00:21::5 dev eth0; ip route add 10.69.0.1 dev eth0 proto bgp scope link',
    ])
    const seen = new Map((await node.kernel.routes(4)).map((route) => [formatCidr(route.destination), route]))
    expect(seen.get('10.66.0.0/16')).toMatchObject({ device: undefined, gateway: undefined })
    expect(seen.get('10.67.0.0/16')).toMatchObject({ device: undefined })
    expect(seen.get('10.68.0.0/16')).toMatchObject({ gateway: 'fd00:21::5', device: 'eth0' })
    expect(seen.get('10.69.0.1/32')).toMatchObject({ protocol: 186, scope: 'link' })
    expect(seen.get('192.168.0.0/24')).toMatchObject({ protocol: 2, source: '192.168.0.21', scope: 'link' })
  })

  test('a device that is not there is said to be missing; one without entries has none', async () => {
    await using ns = await scratchNamespace()
    const lo = parseInterfaceName('lo')
    expect(await ns.kernel.neighbours(4, lo)).toEqual([])
    expect(await ns.kernel.fdb(lo)).toEqual([])
    expect(await ns.kernel.routes(4)).toEqual([])
    await expect(ns.kernel.neighbours(4, vtep)).rejects.toMatchObject({ kind: 'missing' })
    await expect(ns.kernel.fdb(vtep)).rejects.toMatchObject({ kind: 'missing' })
    await expect(ns.kernel.routes(4, { device: vtep })).rejects.toMatchObject({ kind: 'missing' })
  })
})
