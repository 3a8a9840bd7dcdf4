// Real packets through real tunnels: who reaches whom, with which address, and how large.
import { expect, test } from 'vitest'
import { converge, entries, reaches, underlay } from './overlay-cluster.ts'
import { describeKernel } from './scratch.ts'

describeKernel('overlay packets', () => {
  test('three nodes: every pod reaches every other, with one neighbour, FDB entry and route per peer', async () => {
    await using net = await underlay()
    const nodes = [await net.addNode(1), await net.addNode(2), await net.addNode(3)]
    for (const { failures, problems, podMtu, peers } of await converge(nodes))
      expect({ failures, problems, podMtu, peers }).toEqual({ failures: [], problems: [], podMtu: 1450, peers: 2 })

    for (const from of nodes)
      for (const to of nodes)
        expect([from.object.name, to.object.name, await reaches(from.pod, to.object)]).toEqual([
          from.object.name,
          to.object.name,
          true,
        ])
    expect(await entries(nodes[0]!)).toEqual({
      routes: [
        '10.244.2.0/24 via 10.244.2.0 dev fairlead.1 onlink',
        '10.244.3.0/24 via 10.244.3.0 dev fairlead.1 onlink',
      ],
      neighbours: expect.toSatisfy(
        sameLines(['10.244.2.0 lladdr 02:58:0a:f4:02:00 PERMANENT', '10.244.3.0 lladdr 02:58:0a:f4:03:00 PERMANENT']),
      ),
      fdb: expect.toSatisfy(
        sameLines([
          '02:58:0a:f4:02:00 dst 192.168.0.2 self permanent',
          '02:58:0a:f4:03:00 dst 192.168.0.3 self permanent',
        ]),
      ),
    })
    for (const { changes } of await converge(nodes)) expect(changes).toEqual([])
  })

  test('addresses survive: a pod is seen with its own, a node with its VTEP address', async () => {
    await using net = await underlay()
    const [a, b] = [await net.addNode(1), await net.addNode(2)]
    await converge([a, b])
    await b.pod.run('nft', ['-f', '-'], {
      input:
        'table ip seen {\n set from { type ipv4_addr; flags dynamic; }\n chain in { type filter hook input priority 0; icmp type echo-request add @from { ip saddr }\n }\n}\n',
    })
    expect(await reaches(a.pod, b.object)).toBe(true)
    expect(await reaches(a.namespace, b.object)).toBe(true)
    const seen = await b.pod.run('nft', ['list', 'set', 'ip', 'seen', 'from'])
    expect(seen.match(/\d+\.\d+\.\d+\.\d+/g)?.toSorted()).toEqual(['10.244.1.0', '10.244.1.2'])
  })

  test('the pod MTU is exactly what passes, and follows the underlay both ways', async () => {
    await using net = await underlay()
    const nodes = [await net.addNode(1), await net.addNode(2)]
    for (const underlayMtu of [1500, 9000, 1400]) {
      await net.switch.run('ip', ['link', 'set', 'br0', 'mtu', `${underlayMtu}`])
      for (const [i, node] of nodes.entries()) {
        await net.switch.run('ip', ['link', 'set', `port${i + 1}`, 'mtu', `${underlayMtu}`])
        await node.namespace.run('ip', ['link', 'set', 'eth0', 'mtu', `${underlayMtu}`])
      }
      for (const { podMtu, failures } of await converge(nodes))
        expect({ podMtu, failures }).toEqual({ podMtu: underlayMtu - 50, failures: [] })
      expect(await reaches(nodes[0]!.pod, nodes[1]!.object, { bytes: underlayMtu - 50 })).toBe(true)
      expect(await reaches(nodes[0]!.pod, nodes[1]!.object, { bytes: underlayMtu - 49 })).toBe(false)
      // The pod has learnt that path MTU, and would believe it for ten minutes.
      await nodes[0]!.pod.run('ip', ['route', 'flush', 'cache'])
    }
  })

  test.each([
    { families: [4, 6] as const, mtu: 1450, remote: '192.168.0.2' },
    { families: [6, 4] as const, mtu: 1430, remote: 'fd00::2' },
    { families: [6] as const, mtu: 1430, remote: 'fd00::2' },
  ])('families $families: the first carries all, one FDB entry serves both', async ({ families, mtu, remote }) => {
    await using net = await underlay()
    const [a, b] = [await net.addNode(1), await net.addNode(2)]
    for (const { failures, problems, podMtu } of await converge([a, b], { families }))
      expect({ failures, problems, podMtu }).toEqual({ failures: [], problems: [], podMtu: mtu })
    for (const family of families) {
      expect(await reaches(a.pod, b.object, { family, bytes: mtu })).toBe(true)
      expect(await reaches(a.namespace, b.object, { family })).toBe(true)
    }
    const { routes, neighbours, fdb } = await entries(a)
    expect({ routes: routes.length, neighbours: neighbours.length, fdb }).toEqual({
      routes: families.length,
      neighbours: families.length,
      fdb: [`02:58:0a:f4:02:00 dst ${remote} self permanent`],
    })
    for (const { changes } of await converge([a, b], { families })) expect(changes).toEqual([])
  })

  test('the device has its sysctls', async () => {
    await using net = await underlay()
    const a = await net.addNode(1)
    await converge([a])
    const value = async (key: string): Promise<string | undefined> => (await a.namespace.kernel.readSysctl(key))?.trim()
    expect([
      await value('net/ipv4/conf/fairlead.1/rp_filter'),
      await value('net/ipv4/conf/fairlead.1/send_redirects'),
      await value('net/ipv6/conf/fairlead.1/accept_ra'),
    ]).toEqual(['2', '0', '0'])
  })
})

function sameLines(wanted: readonly string[]): (lines: readonly string[]) => boolean {
  return (lines) => lines.toSorted().join('\n') === wanted.join('\n')
}
