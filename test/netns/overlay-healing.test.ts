// Whatever is flushed, deleted or changed under the overlay comes back in one pass, with the least change.
import { expect, test } from 'vitest'
import { batch, converge, entries, reaches, type TestNode, underlay } from './overlay-cluster.ts'
import { describeKernel } from './scratch.ts'

/** What breaks the path from node 1 to node 2, and how many changes mend it. */
const damages: { what: string; break: (node: TestNode) => Promise<unknown>; mended: readonly string[] }[] = [
  {
    what: 'device deleted',
    break: ({ namespace }) => namespace.run('ip', ['link', 'del', 'fairlead.1']),
    mended: ['link', 'address', 'link', 'neighbour', 'fdb', 'route'],
  },
  {
    what: 'device down',
    break: ({ namespace }) => namespace.run('ip', ['link', 'set', 'fairlead.1', 'down']),
    mended: ['link', 'neighbour', 'route'],
  },
  {
    what: 'device down and up',
    break: ({ namespace }) => batch(namespace, ['link set fairlead.1 down', 'link set fairlead.1 up']),
    mended: ['neighbour', 'route'],
  },
  {
    what: 'MAC changed',
    break: ({ namespace }) => namespace.run('ip', ['link', 'set', 'fairlead.1', 'address', '02:00:00:00:00:01']),
    mended: ['link', 'neighbour'],
  },
  {
    what: 'address deleted',
    break: ({ namespace }) => namespace.run('ip', ['addr', 'del', '10.244.1.0/32', 'dev', 'fairlead.1']),
    mended: ['address', 'neighbour', 'route'],
  },
  {
    what: 'neighbours flushed',
    break: ({ namespace }) => namespace.run('ip', ['neigh', 'flush', 'dev', 'fairlead.1', 'nud', 'permanent']),
    mended: ['neighbour'],
  },
  {
    what: 'FDB entry deleted',
    break: ({ namespace }) =>
      namespace.run('bridge', ['fdb', 'del', '02:58:0a:f4:02:00', 'dev', 'fairlead.1', 'dst', '192.168.0.2', 'self']),
    mended: ['fdb'],
  },
  {
    what: 'FDB entry changed',
    break: ({ namespace }) =>
      namespace.run('bridge', [
        'fdb',
        'replace',
        '02:58:0a:f4:02:00',
        'dev',
        'fairlead.1',
        'dst',
        '192.168.0.99',
        'self',
        'permanent',
      ]),
    mended: ['fdb'],
  },
  {
    what: 'route deleted',
    break: ({ namespace }) => namespace.run('ip', ['route', 'del', '10.244.2.0/24']),
    mended: ['route'],
  },
  {
    what: 'route changed',
    break: ({ namespace }) =>
      namespace.run('ip', ['route', 'replace', '10.244.2.0/24', 'via', '192.168.0.99', 'dev', 'eth0', 'proto', '98']),
    mended: ['route'],
  },
  {
    what: 'moved to another address',
    break: ({ namespace }) =>
      batch(namespace, [
        'addr add 192.168.0.98/24 dev eth0',
        'link set fairlead.1 type vxlan id 1 local 192.168.0.98 dev eth0',
      ]),
    mended: ['link'],
  },
]

describeKernel('overlay healing', () => {
  test('every damage is mended in one pass by exactly what it took away', async () => {
    await using net = await underlay()
    const nodes = [await net.addNode(1), await net.addNode(2)] as const
    const [a, b] = nodes
    const objects = nodes.map(({ object }) => object)
    await converge(nodes)
    for (const damage of damages) {
      await damage.break(a)
      const { changes, failures } = await a.reconcile(objects)
      expect([damage.what, failures, changes.map(({ kind }) => kind)]).toEqual([damage.what, [], damage.mended])
      expect([damage.what, await reaches(a.pod, b.object), (await a.reconcile(objects)).changes]).toEqual([
        damage.what,
        true,
        [],
      ])
    }
  })

  test('an agent that was down while a node left removes all of it, and nothing of others', async () => {
    await using net = await underlay()
    const nodes = [await net.addNode(1), await net.addNode(2), await net.addNode(3)] as const
    const [a, b, gone] = nodes
    await converge(nodes, { families: [4, 6] })
    await batch(a.namespace, [
      'route add 10.99.0.0/24 via 192.168.0.77 dev eth0',
      'route add 10.98.0.0/24 dev eth0 proto 98',
      'neigh add 192.168.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent',
    ])
    await a.namespace.run('bridge', [
      'fdb',
      'add',
      '02:00:00:00:00:88',
      'dev',
      'fairlead.1',
      'dst',
      '192.168.0.88',
      'self',
      'permanent',
    ])

    const { changes, failures } = await a.reconcile([a.object, b.object], { families: [4, 6] })
    expect(failures).toEqual([])
    expect(changes.map(({ line }) => line.split(' ').slice(0, 3).join(' ')).toSorted()).toEqual([
      'fdb del 02:00:00:00:00:88',
      'fdb del 02:58:0a:f4:03:00',
      'neigh del 10.244.3.0',
      'neigh del fd00:244:3::',
      'route del 10.244.3.0/24',
      'route del fd00:244:3::/64',
    ])
    const left = await entries(a)
    expect({ routes: left.routes.length, neighbours: left.neighbours.length, fdb: left.fdb }).toEqual({
      routes: 3,
      neighbours: 2,
      fdb: ['02:58:0a:f4:02:00 dst 192.168.0.2 self permanent'],
    })
    expect(await a.namespace.run('ip', ['route', 'show', '10.99.0.0/24'])).toContain('192.168.0.77')
    expect(await a.namespace.run('ip', ['route', 'show', '10.98.0.0/24'])).toContain('dev eth0 proto 98')
    expect(await a.namespace.run('ip', ['neigh', 'show', 'dev', 'eth0', 'nud', 'permanent'])).toContain('192.168.0.77')
    expect([await reaches(a.pod, b.object), await reaches(a.pod, gone.object)]).toEqual([true, false])
  })

  test('what flannel left in the way is named; once it is gone the overlay is made', async () => {
    await using net = await underlay()
    const nodes = [await net.addNode(1), await net.addNode(2)] as const
    const [a, b] = nodes
    await a.namespace.run('ip', [
      'link',
      'add',
      'flannel.1',
      'type',
      'vxlan',
      'id',
      '1',
      'local',
      '192.168.0.1',
      'dev',
      'eth0',
      'dstport',
      '8472',
      'nolearning',
    ])
    const [blocked] = await converge(nodes)
    expect(blocked).toMatchObject({
      changes: [],
      failures: [],
      ready: false,
      problems: [expect.stringContaining('Link flannel.1 already is VXLAN 1 on UDP port 8472')],
    })
    expect(await a.namespace.run('ip', ['-br', 'link', 'show'])).not.toContain('fairlead.1')

    await a.namespace.run('ip', ['link', 'del', 'flannel.1'])
    await converge(nodes)
    expect(await reaches(a.pod, b.object)).toBe(true)
  })
})
