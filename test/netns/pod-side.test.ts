// Drift in pods' own namespaces: what a pod without NET_ADMIN cannot have meant is put back, the rest is reported. And
// of the bridge, by which the node reaches its pods.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { parseCidr } from '../../src/net/cidr.ts'
import type { PodSideOptions } from '../../src/pods/pod-side/watch.ts'
import { cni, type CniAnswer, nodeSettings, type PodNode, podNode, withoutBridgeNetfilter } from './pod-node.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace } from './scratch.ts'

const eventually = { timeout: 60_000, interval: 50 }
const c1 = { containerId: 'c1' }
const dualCidrs = [...nodeSettings.podCidrs, parseCidr('fd00:244:1::/64')]

interface Watched extends AsyncDisposable {
  readonly node: PodNode
  readonly pod: ScratchNamespace
  readonly added: CniAnswer
  /** What was put back, in order. */
  readonly repaired: string[]
  /** The first thing that the pod lacks; "" when CHECK finds it as it was made. */
  lacks(): Promise<string>
}

/** A node that watches one pod. */
async function watched(
  options: Parameters<typeof podNode>[0] = {},
  mayChange: PodSideOptions['mayChange'] = () => false,
): Promise<Watched> {
  const made = new AsyncDisposableStack()
  const repaired: string[] = []
  const podSide: PodSideOptions = { mayChange, repaired: (_, what) => void repaired.push(...what) }
  const node = made.use(await podNode({ ...options, podSide }))
  const pod = made.use(await scratchNamespace())
  const added = await cni(node.network, 'ADD', { ...c1, netns: pod.path })
  await node.network.reconcile()
  const stop = new AbortController()
  const watching = node.network.watchPods(stop.signal)
  made.defer(async () => {
    stop.abort()
    await watching
  })
  return {
    node,
    pod,
    added,
    repaired,
    lacks: async () => {
      const prevResult = added.document
      return (await cni(node.network, 'CHECK', { ...c1, netns: pod.path }, { prevResult })).document.details ?? ''
    },
    [Symbol.asyncDispose]: async () => made.disposeAsync(),
  }
}

async function batch(pod: ScratchNamespace, lines: string): Promise<void> {
  await pod.run('ip', ['-force', '-batch', '-'], { input: `${lines}\n` })
}

const changes: readonly { what: string; lines: string; mode?: 'dual' | 'routed'; finds?: RegExp }[] = [
  { what: 'eth0 down and up', lines: 'link set eth0 down\nlink set eth0 up', finds: /^the default route/ },
  { what: 'eth0 down and up, dual-stack', lines: 'link set eth0 down\nlink set eth0 up', mode: 'dual' },
  { what: 'eth0 down and up, routed', lines: 'link set eth0 down\nlink set eth0 up', mode: 'routed' },
  { what: 'eth0 down', lines: 'link set eth0 down', finds: /^eth0 is down/ },
  { what: 'eth0 down, dual-stack', lines: 'link set eth0 down', mode: 'dual', finds: /lacks address fd00/ },
  { what: 'lo down', lines: 'link set lo down', finds: /^lo is down/ },
  { what: 'another MTU', lines: 'link set eth0 mtu 1280', finds: /MTU 1280/ },
  { what: 'another MAC', lines: 'link set eth0 address 02:00:00:00:00:01', finds: /MAC 02:00/ },
  { what: 'no address', lines: 'addr flush dev eth0', finds: /lacks address 10\.244\.1\.2\/24/ },
  { what: 'no IPv6 address', lines: 'addr del fd00:244:1::2/64 dev eth0', mode: 'dual', finds: /lacks address fd00/ },
  {
    what: 'the address with another prefix',
    lines: 'addr add 10.244.1.2/32 dev eth0\naddr del 10.244.1.2/24 dev eth0',
  },
  { what: 'no default route', lines: 'route del default', finds: /^the default route/ },
  { what: 'no IPv6 default route', lines: 'route del ::/0', mode: 'dual', finds: /^the default route via fd00/ },
  { what: 'a default route by another gateway', lines: 'route replace default via 10.244.1.9 dev eth0' },
  { what: 'no route to its network', lines: 'route del 10.244.1.0/24', finds: /^the route to 10\.244\.1\.0\/24/ },
  {
    what: 'no route to its gateway',
    lines: 'route del 10.244.1.1',
    mode: 'routed',
    finds: /^the route to 10\.244\.1\.1/,
  },
  {
    what: 'a gateway that is wrong for good',
    // Neighbours are no news; the other address is.
    lines: 'neigh replace 10.244.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent\naddr add 10.9.9.9/32 dev lo',
    finds: /^neighbour 10\.244\.1\.1 has MAC 02:00/,
  },
]

describeKernel('a pod that may not change its network', () => {
  test.each(changes)('gets back what it lacks with $what', async ({ lines, mode, finds = /./ }) => {
    const settings = mode === 'dual' ? { settings: { podCidrs: dualCidrs } } : {}
    await using it = await watched({ ...settings, ...(mode === 'routed' && { kernelOf: withoutBridgeNetfilter }) })
    expect(await it.lacks()).toBe('')
    await batch(it.pod, lines)
    await vi.waitFor(() => expect(it.repaired.join('; ')).toMatch(finds), eventually)
    await vi.waitFor(async () => expect(await it.lacks()).toBe(''), eventually)
    const [v4] = it.added.document.ips ?? []
    await it.pod.run('ping', ['-c', '1', '-W', '5', String(v4?.gateway)])
    if (mode === 'dual') await it.pod.run('ping', ['-6', '-c', '1', '-W', '5', 'fd00:244:1::1'])
    expect(it.node.network.leftDrift).toEqual([])
  })

  test('keeps what it has beside what was made, and a default route by another network', async () => {
    await using it = await watched()
    await batch(
      it.pod,
      [
        'link add net1 type veth peer name net1-peer',
        'addr add 192.168.7.2/24 dev net1',
        'link set net1-peer up',
        'link set net1 up',
        'addr add 10.244.1.200/24 dev eth0',
        'route add 10.0.0.0/8 via 10.244.1.1 dev eth0',
        'route replace default via 192.168.7.1 dev net1',
      ].join('\n'),
    )
    // What a look would have put back before this one.
    await batch(it.pod, 'link set eth0 mtu 1280')
    await vi.waitFor(() => expect(it.repaired).toEqual(['eth0 has MTU 1280 instead of 1450']), eventually)
    const routes = await it.pod.run('ip', ['route'])
    expect(routes).toContain('default via 192.168.7.1 dev net1')
    expect(routes).toContain('10.0.0.0/8 via 10.244.1.1')
    expect(await it.pod.run('ip', ['addr'])).toContain('10.244.1.200/24')
    expect(it.node.network.leftDrift).toEqual([])
  })
})

describeKernel('a pod that may have meant it', () => {
  test.each([
    ['may change its network', 'own', true],
    ['is not known to the API server', 'unknown', undefined],
  ] as const)('since it %s is told of and left alone, until it is as it was made again', async (_, reason, may) => {
    await using it = await watched({}, () => may)
    await batch(it.pod, 'route del default')
    const left = [{ pod: 'default/c1', what: ['the default route via 10.244.1.1 is missing'], reason }]
    await vi.waitFor(() => expect(it.node.network.leftDrift).toEqual(left), eventually)
    expect([it.repaired, await it.lacks()]).toEqual([[], 'the default route via 10.244.1.1 is missing'])
    expect(await it.pod.run('ip', ['route', 'show', 'default'])).toBe('')
    await cni(it.node.network, 'DEL', c1)
    await it.node.network.reconcile()
    expect(it.node.network.leftDrift).toEqual([])
  })

  test('since other plugins come after ours in its configuration is told of and left alone', async () => {
    const cniDir = mkdtempSync(join(tmpdir(), 'fairlead-cni-'))
    await using it = await watched({ cniDir })
    const config = Buffer.from(JSON.stringify({ plugins: [{ type: 'fairlead-cni' }, { type: 'tuning' }] }))
    mkdirSync(join(cniDir, 'results'))
    writeFileSync(
      join(cniDir, 'results', 'fairlead-c1-eth0'),
      JSON.stringify({
        kind: 'cniCacheV1',
        containerId: 'c1',
        ifName: 'eth0',
        networkName: 'fairlead',
        config: config.toString('base64'),
        result: it.added.document,
      }),
    )
    await batch(it.pod, 'link set eth0 mtu 1280')
    await vi.waitFor(() => expect(it.node.network.leftDrift).toMatchObject([{ reason: 'chained' }]), eventually)
    rmSync(cniDir, { recursive: true })
    expect(it.repaired).toEqual([])
  })
})

describeKernel('the bridge', () => {
  test('loses a neighbour that is wrong for good, of a pod in either family and of no pod', async () => {
    await using node = await podNode({ settings: { podCidrs: dualCidrs } })
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    await node.network.reconcile()
    const addresses = ['10.244.1.2', 'fd00:244:1::2', '10.244.1.77']
    for (const [i, nud] of ['permanent', 'permanent', 'noarp'].entries())
      await node.namespace.run('ip', ['-batch', '-'], {
        input: `neigh replace ${addresses[i]} lladdr 02:00:00:00:00:01 dev cni0 nud ${nud}\n`,
      })
    const { changes: made, failures } = await node.network.reconcile()
    expect([made.map(({ object }) => object).toSorted(), failures]).toEqual([
      addresses.map((each) => `neighbour ${each} on cni0`).toSorted(),
      [],
    ])
    for (const address of ['10.244.1.2', 'fd00:244:1::2'])
      await node.namespace.run('ping', ['-c', '1', '-W', '5', address])
    expect((await node.network.reconcile()).changes).toEqual([])
  })

  test('gets the routes to its pods back', async () => {
    await using node = await podNode({ settings: { podCidrs: dualCidrs } })
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    await node.network.reconcile()
    await node.namespace.run('ip', ['route', 'del', '10.244.1.0/24', 'dev', 'cni0'])
    await node.namespace.run('ip', ['-6', 'route', 'del', 'fd00:244:1::/64', 'dev', 'cni0'])
    const { changes: made, failures } = await node.network.reconcile()
    expect([made.map(({ object }) => object), failures]).toEqual([['route 10.244.1.0/24', 'route fd00:244:1::/64'], []])
    for (const address of ['10.244.1.2', 'fd00:244:1::2'])
      await node.namespace.run('ping', ['-c', '1', '-W', '5', address])
    expect((await node.network.reconcile()).changes).toEqual([])
  })
})
