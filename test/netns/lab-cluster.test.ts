// A cluster that grows, shrinks and moves: what each node holds for the others is exactly what is there.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeKernel } from './scratch.ts'
import { echoPod, type LabNode, TestLab } from './test-lab.ts'

const lab = new TestLab(`ft-cluster-${process.pid}`)

interface NodeState {
  /** Destination and gateway of each route with our protocol. */
  readonly routes: readonly string[]
  readonly neighbours: readonly string[]
  /** Destinations of fairlead.1's forwarding entries. */
  readonly fdb: readonly string[]
  /** Links of our group but the pods'. */
  readonly links: readonly string[]
}

/** In one command, since each start of the command line costs more than all four answers. */
const dumps = [
  'ip -j route show proto 98',
  'ip -j -4 neigh show dev fairlead.1',
  'bridge -j fdb show dev fairlead.1',
  'ip -j link show group 98',
]

async function stateOf(node: string): Promise<NodeState> {
  const printed = await lab.succeed([
    'node',
    node,
    '--',
    'sh',
    '-c',
    dumps.map((dump) => `echo "$(${dump})"`).join('; '),
  ])
  const [routes = [], neighbours = [], fdb = [], links = []] = printed
    .split('\n')
    .map((line) => JSON.parse(line === '' ? '[]' : line) as { dst?: string; gateway?: string; ifname?: string }[])
  return {
    routes: routes.map(({ dst, gateway }) => `${dst} via ${gateway}`).toSorted(),
    neighbours: neighbours.map(({ dst }) => String(dst)).toSorted(),
    fdb: fdb.map(({ dst }) => dst ?? 'no destination').toSorted(),
    // iproute2 6.1 prints an empty object for each link of another group.
    links: links
      .flatMap(({ ifname }) => ifname ?? [])
      .filter((name) => !name.startsWith('veth'))
      .toSorted(),
  }
}

async function nodes(): Promise<Map<string, LabNode>> {
  const { nodes } = await lab.status()
  return new Map(nodes.map((node) => [node.name, node]))
}

/** What a node has to hold for its peers: one route, one neighbour and one forwarding entry each, and nothing else. */
function expected(peers: readonly LabNode[]): NodeState {
  const vteps = peers.map(({ podCidr }) => podCidr.replace(/\/\d+$/, '')).toSorted()
  return {
    routes: peers.map(({ podCidr }) => `${podCidr} via ${podCidr.replace(/\/\d+$/, '')}`).toSorted(),
    neighbours: vteps,
    fdb: peers.map(({ address }) => address).toSorted(),
    links: ['cni0', 'fairlead.1'],
  }
}

async function expectExactly(onNodes: readonly string[], others: ReadonlyMap<string, LabNode>): Promise<void> {
  for (const node of onNodes) {
    const peers = [...others].filter(([name]) => name !== node).map(([, peer]) => peer)
    await vi.waitFor(async () => expect(await stateOf(node), `on ${node}`).toEqual(expected(peers)), {
      timeout: 60_000,
      interval: 100,
    })
  }
}

async function without(name: string): Promise<Map<string, LabNode>> {
  return new Map([...(await nodes())].filter(([node]) => node !== name))
}

describeKernel('a lab of several nodes', () => {
  beforeAll(async () => {
    await lab.succeed(['up', '--nodes', '3'])
  })
  afterAll(async () => await lab[Symbol.asyncDispose]())

  test('each pod reaches each other by IP and is seen as itself; each node holds one entry of each kind per peer', async () => {
    const names = ['node1', 'node2', 'node3'].flatMap((node) => [1, 2].map((n) => [`pod-${node}-${n}`, node] as const))
    await lab.apply(...names.map(([name, node]) => echoPod(name, node)))
    const pods = await lab.readyPods(6)
    for (const { name, address } of pods) {
      const others = pods.filter((other) => other.name !== name)
      const answers = await lab.ask(
        name,
        others.map((other) => `${other.address} 8080/TCP`),
      )
      expect(answers.map((answer) => [answer.pod, answer.client.replace(/:\d+$/, '')])).toEqual(
        others.map((other) => [other.name, address]),
      )
    }
    await expectExactly(['node1', 'node2', 'node3'], await nodes())
    await lab.delete(...names.map(([name, node]) => echoPod(name, node)))
  })

  test('a fourth node joins and 40 pods of a Deployment come up', async () => {
    await lab.succeed(['up', '--nodes', '4'])
    const labels = { app: 'forty' }
    const template = {
      metadata: { labels },
      spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'echo' }] },
    }
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'forty' },
      spec: { replicas: 40, selector: { matchLabels: labels }, template },
    }
    await lab.apply(deployment)
    const pods = await lab.readyPods(40)
    expect(new Set(pods.map(({ address }) => address)).size).toBe(40)
    expect(new Set(pods.map(({ node }) => node)).size).toBe(4)
    await expectExactly(['node1', 'node2', 'node3', 'node4'], await nodes())
    await lab.delete(deployment)
    await lab.readyPods(0)
  })

  test('a deleted node is forgotten everywhere, also where the agent was down meanwhile', async () => {
    await lab.succeed(['agent', 'stop', 'node1'])
    const rest = await without('node4')
    const before = await stateOf('node1')
    await lab.delete({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node4' } })
    await expectExactly(['node2', 'node3'], rest)
    // Nobody is there to follow: what node1 holds is what its agent left.
    expect(await stateOf('node1')).toEqual(before)
    await lab.succeed(['agent', 'start', 'node1'])
    await expectExactly(['node1'], rest)
  })

  test('a node that comes back with another podCIDR is followed, and so is one whose address changes', async () => {
    const before = (await nodes()).get('node3')!
    await lab.succeed(['up', '--nodes', '2'])
    await lab.succeed(['up', '--nodes', '3'])
    const after = (await nodes()).get('node3')!
    expect(after.podCidr).not.toBe(before.podCidr)
    await expectExactly(['node1', 'node2', 'node3'], await nodes())

    // Without promotion the second address would go with the first.
    await lab.succeed([
      'node',
      'node3',
      '--',
      'sh',
      '-ec',
      `echo 1 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries; ip addr add 192.168.0.77/24 dev eth0; ip addr del ${after.address}/24 dev eth0`,
    ])
    await vi.waitFor(async () => expect((await nodes()).get('node3')!.address).toBe('192.168.0.77'), {
      timeout: 60_000,
    })
    await expectExactly(['node1', 'node2', 'node3'], await nodes())
    await lab.apply(echoPod('here', 'node1'), echoPod('moved', 'node3'))
    const [, moved] = [await lab.readyPod('here'), await lab.readyPod('moved')]
    const [answer] = await lab.ask('here', [`${moved.address} 8080/TCP`])
    expect(answer).toMatchObject({ pod: 'moved', node: 'node3' })
  })
})
