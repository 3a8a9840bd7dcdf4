// UDP flows follow the Service that leads them: they end with its frontend or its endpoint, also where the agent was away
// when it went, and no other flow does.
import { expect, test } from 'vitest'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClusterEndpointSlice, SliceEndpoint } from '../../src/cluster/endpoint-slice.ts'
import type { ClusterNode } from '../../src/cluster/node.ts'
import type { ClusterService } from '../../src/cluster/service.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { type Address, type Family, parseAddress } from '../../src/net/address.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { defaultOptions, type ServicesOptions } from '../../src/services/options.ts'
import { Services } from '../../src/services/services.ts'
import { port as hostPortOf } from '../../src/pods/rules/rule-inputs.ts'
import { nodeAddress, outsideAddress, podAt, type RulesNode, rulesNode } from './rules-node.ts'
import { describeKernel, testLog } from './scratch.ts'
import { answerAs, ask, askUntil, entriesFrom, insertEntry } from './udp-clients.ts'

const backends = ['nft', 'legacy'] as const
const clusterIp = { 4: '10.254.77.7', 6: 'fd00:254::7' } as const
const external = { 4: '203.0.113.20', 6: 'fd00:113::20' } as const
const podOf = (n: 5 | 6, family: Family = 4): string => (family === 4 ? `10.244.1.${n}` : `fd00:244:1::${n}`)

type Changes = Partial<ClusterService>

interface Bed extends AsyncDisposable {
  readonly net: RulesNode
  /** Service default/u as it is from now on; undefined: there is none. */
  service: Changes | undefined
  /** Its endpoints, ready and on this node unless they say otherwise. */
  endpoints: readonly (Partial<SliceEndpoint> & { address: Address })[]
  targetPort: number
  options: ServicesOptions
  /** Brings the kernel to what was set, by the agent that runs. */
  sync(): Promise<void>
  /** Another agent on the same node, as after a restart. */
  restart(kernel?: Kernel): void
}

/** A Service u with port 5300, answered by pod 5 at port 53 and led to from everywhere. */
async function serviceBed(backend: 'nft' | 'legacy' = 'nft', family: Family = 4): Promise<Bed> {
  await using made = new AsyncDisposableStack()
  const net = made.use(await rulesNode(backend))
  const stateDir = mkdtempSync(join(tmpdir(), 'fairlead-flows-'))
  made.defer(() => rmSync(stateDir, { recursive: true }))
  for (const n of [5, 6] as const) made.use(await answerAs(`pod${n}`, net.pods[n === 5 ? 0 : 1], 53, { family }))
  for (const address of [external[family], clusterIp[family]])
    await net.outside.run('ip', ['route', 'add', address, 'via', family === 4 ? nodeAddress : 'fd00::21'])
  // As with kube-proxy's rules beside ours: something always needs conntrack.
  for (const program of ['iptables', 'ip6tables'])
    await net.node.run(`${program}-${backend}`, [
      '-A',
      'INPUT',
      '-m',
      'conntrack',
      '--ctstate',
      'INVALID',
      '-j',
      'DROP',
    ])
  await net.rules.reconcile([])
  const node: ClusterNode = {
    name: 'n1',
    uid: 'u',
    createdAt: 0,
    podCidrs: [parseCidr(family === 4 ? '10.244.1.0/24' : 'fd00:244:1::/64')],
    internalAddresses: [parseAddress(family === 4 ? nodeAddress : 'fd00::21')],
    zone: undefined,
    leaving: false,
    alive: undefined,
    networkUnavailable: false,
    kubeletPort: 10_250,
  }
  const open = (kernel: Kernel) =>
    new Services({ kernel, iptables: net.node.iptables, log: testLog, families: [family], stateDir })
  let services = open(net.node.kernel)
  const kept = made.move()
  const self: Bed = {
    net,
    service: {},
    endpoints: [{ address: parseAddress(podOf(5, family)) }],
    targetPort: 53,
    options: {
      ...defaultOptions,
      detectLocal: { by: 'clusterCidr', cidrs: [parseCidr('10.244.0.0/16'), parseCidr('fd00:244::/32')] },
    },
    sync: async () => {
      const changes = self.service
      const service: ClusterService | undefined = changes && {
        namespace: 'default',
        name: 'u',
        uid: 'uid-u',
        createdAt: 1,
        type: 'LoadBalancer',
        clusterIps: [parseAddress(clusterIp[family])],
        ports: [{ name: 'd', protocol: 'udp', port: 5300, nodePort: 30_999 }],
        externalIps: [parseAddress(external[family])],
        loadBalancerIps: [],
        sourceRanges: [],
        internalTrafficPolicy: 'Cluster',
        externalTrafficPolicy: 'Cluster',
        healthCheckNodePort: 0,
        affinitySeconds: undefined,
        ...changes,
      }
      const slice: ClusterEndpointSlice = {
        namespace: 'default',
        name: 'u-1',
        service: 'u',
        family,
        changeTriggeredAt: undefined,
        ports: [{ name: 'd', protocol: service?.ports[0]?.protocol ?? 'udp', port: self.targetPort }],
        endpoints: self.endpoints.map((endpoint) => ({
          ready: true,
          serving: true,
          terminating: false,
          node: 'n1',
          zoneHints: [],
          nodeHints: [],
          ...endpoint,
        })),
      }
      services.configure(self.options)
      services.update(
        new Map(service === undefined ? [] : [['default/u', service]]),
        new Map(self.endpoints.length === 0 ? [] : [['default/u-1', slice]]),
        node,
      )
      await services.sync()
      await services.idle()
    },
    restart: (kernel = net.node.kernel) => {
      services = open(kernel)
    },
    [Symbol.asyncDispose]: async () => {
      await services.idle()
      await kept.disposeAsync()
    },
  }
  return self
}

const pod5 = { address: parseAddress(podOf(5)) }
const pod6 = { address: parseAddress(podOf(6)) }
/** Frontends of the Service as the outside client asks them, by the source port that it keeps. */
const frontends: Record<Family, Readonly<Record<number, string>>> = {
  4: { 40_001: `${external[4]}:5300`, 40_002: `${nodeAddress}:30999`, 40_003: `${clusterIp[4]}:5300` },
  6: { 40_001: `[${external[6]}]:5300`, 40_002: '[fd00::21]:30999', 40_003: `[${clusterIp[6]}]:5300` },
}

async function askAll({ net: { outside } }: Bed, answer: string, family: Family = 4): Promise<void> {
  for (const [sourcePort, address] of Object.entries(frontends[family]))
    await askUntil(answer, outside, address, Number(sourcePort))
}

async function counts({ net: { node } }: Bed, family: Family = 4): Promise<number[]> {
  const entries = await Promise.all(
    Object.keys(frontends[family]).map(async (at) => entriesFrom(node, Number(at), family)),
  )
  return entries.map(({ length }) => length)
}

/** Of external address, node port and ClusterIP the last alone. */
const clusterIpAlone: Changes = {
  type: 'ClusterIP',
  externalIps: [],
  ports: [{ name: 'd', protocol: 'udp', port: 5300, nodePort: 0 }],
}

describeKernel('UDP flows of Services', () => {
  test.each(backends)(
    '%s: flows end with the external address and the node port of a living Service',
    async (backend) => {
      await using it = await serviceBed(backend)
      await it.sync()
      await askAll(it, 'pod5')
      it.service = clusterIpAlone
      await it.sync()
      expect(await counts(it)).toEqual([0, 0, 1])
      for (const sourcePort of [40_001, 40_002])
        expect(await ask(it.net.outside, frontends[4][sourcePort] ?? '', sourcePort)).toBeUndefined()
    },
  )

  test('IPv6: so do they, and with the Service', async () => {
    await using it = await serviceBed('nft', 6)
    await it.sync()
    await askAll(it, 'pod5', 6)
    it.service = clusterIpAlone
    await it.sync()
    expect(await counts(it, 6)).toEqual([0, 0, 1])
    it.service = undefined
    await it.sync()
    expect(await counts(it, 6)).toEqual([0, 0, 0])
  })

  test.each(backends)(
    '%s: what was withdrawn while no agent ran ends with the first sync of the next',
    async (backend) => {
      await using it = await serviceBed(backend)
      await it.sync()
      await askAll(it, 'pod5')
      it.restart()
      await it.sync()
      expect(await counts(it)).toEqual([1, 1, 1])
      it.restart()
      it.service = clusterIpAlone
      await it.sync()
      expect(await counts(it)).toEqual([0, 0, 1])
      it.restart()
      it.service = undefined
      it.endpoints = []
      await it.sync()
      expect(await counts(it)).toEqual([0, 0, 0])
    },
  )

  test('an endpoint that went while no agent ran', async () => {
    await using it = await serviceBed()
    it.endpoints = [pod5, pod6]
    it.service = { affinitySeconds: 600 }
    await it.sync()
    const answer = (await ask(it.net.outside, frontends[4][40_001] ?? '', 40_001)) ?? 'nobody'
    await askAll(it, answer)
    const [kept, gone] = answer === 'pod5' ? [pod6, pod5] : [pod5, pod6]
    it.restart()
    it.endpoints = [kept, { ...gone, ready: false, serving: false }]
    await it.sync()
    expect(await counts(it)).toEqual([0, 0, 0])
    await askAll(it, answer === 'pod5' ? 'pod6' : 'pod5')
  })

  test('an agent killed between rules and flows, or whose deletion fails, is made good', async () => {
    await using it = await serviceBed()
    const { kernel } = it.net.node
    let broken = true
    const failing = new Proxy(kernel, {
      get: (target, name) => {
        if (broken && name === 'readUdpFlows') return async () => Promise.reject(new Error('no conntrack'))
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
      },
    })
    it.restart(failing)
    await it.sync()
    await askAll(it, 'pod5')
    it.service = clusterIpAlone
    await it.sync()
    expect(await counts(it)).toEqual([1, 1, 1])
    it.restart()
    await it.sync()
    expect(await counts(it)).toEqual([0, 0, 1])

    // The same agent goes on trying.
    broken = true
    it.restart(failing)
    it.service = {}
    await it.sync()
    await askAll(it, 'pod5')
    it.service = undefined
    await it.sync()
    expect(await counts(it)).toEqual([1, 1, 1])
    broken = false
    await expect.poll(async () => counts(it), { timeout: 60_000, interval: 200 }).toEqual([0, 0, 0])
  })

  test('a node port on several addresses; a flow that has only its number in common goes on', async () => {
    await using it = await serviceBed()
    const {
      node,
      outside,
      pods: [pod, neighbour],
    } = it.net
    await node.run('ip', ['addr', 'add', '192.168.0.22/24', 'dev', 'eth0'])
    await using _far = await answerAs('far', outside, 30_999)
    await it.sync()
    await askUntil('pod5', outside, `${nodeAddress}:30999`, 40_001)
    await askUntil('pod5', outside, '192.168.0.22:30999', 40_002)
    await askUntil('pod5', node, '127.0.0.1:30999', 40_003)
    await askUntil('pod5', neighbour, '10.244.1.1:30999', 40_004)
    await askUntil('pod5', pod, `${nodeAddress}:30999`, 40_005)
    await askUntil('far', neighbour, `${outsideAddress}:30999`, 40_006)
    await insertEntry(node, {
      source: outsideAddress,
      sourcePort: 40_007,
      to: [nodeAddress, 30_999],
      from: [podOf(5), 53],
      zone: 3,
    })
    const all = async () =>
      Promise.all(
        [40_001, 40_002, 40_003, 40_004, 40_005, 40_006, 40_007].map(
          async (at) => (await entriesFrom(node, at)).length,
        ),
      )
    expect(await all()).toEqual([1, 1, 1, 1, 1, 1, 1])
    // Node ports on one address alone.
    it.options = { ...it.options, nodePortAddresses: [parseCidr('192.168.0.22/32')] }
    await it.sync()
    expect(await all()).toEqual([0, 1, 0, 0, 0, 1, 1])
    it.service = clusterIpAlone
    await it.sync()
    expect(await all()).toEqual([0, 0, 0, 0, 0, 1, 1])
  })

  test('flows past the Service end when it gets its first endpoint, and no other with that number', async () => {
    await using it = await serviceBed()
    const { node, outside, pods } = it.net
    await using _far = await answerAs('far', outside, 30_999)
    await using _own = await answerAs('own', node, 30_999)
    it.endpoints = []
    it.service = undefined
    await it.sync()
    await askUntil('own', outside, `${nodeAddress}:30999`, 40_002)
    await ask(outside, `${external[4]}:5300`, 40_001)
    await askUntil('far', pods[1], `${outsideAddress}:30999`, 40_006)
    await insertEntry(node, {
      source: outsideAddress,
      sourcePort: 40_008,
      to: [clusterIp[4], 5300],
      from: [clusterIp[4], 5300],
    })
    it.service = {}
    await it.sync()
    it.endpoints = [pod5]
    await it.sync()
    expect(await entriesFrom(node, 40_008)).toEqual([])
    expect(await entriesFrom(node, 40_006)).toHaveLength(1)
    await askUntil('pod5', outside, `${nodeAddress}:30999`, 40_002)
    await askUntil('pod5', outside, `${external[4]}:5300`, 40_001)
  })

  test('an endpoint that is only not ready keeps its direct flows', async () => {
    await using it = await serviceBed()
    const {
      node,
      outside,
      pods: [, neighbour],
    } = it.net
    it.endpoints = [pod5]
    await it.sync()
    await askUntil('pod5', neighbour, `${podOf(5)}:53`, 40_006)
    await askAll(it, 'pod5')
    it.endpoints = [{ ...pod5, ready: false, serving: false }]
    await it.sync()
    expect(await counts(it)).toEqual([0, 0, 0])
    expect(await entriesFrom(node, 40_006)).toHaveLength(1)
    // Nor has the next one anything to do with them.
    it.endpoints = [pod6]
    await it.sync()
    expect(await entriesFrom(node, 40_006)).toHaveLength(1)
    await askUntil('pod6', outside, `${external[4]}:5300`, 40_001)
  })

  test.each<[string, (bed: Bed) => void, number[]]>([
    ['targetPort is another', (bed) => (bed.targetPort = 54), [0, 0, 0]],
    [
      'UDP becomes TCP',
      (bed) => (bed.service = { ports: [{ name: 'd', protocol: 'tcp', port: 5300, nodePort: 30_999 }] }),
      [0, 0, 0],
    ],
    [
      'the port is another',
      (bed) => (bed.service = { ports: [{ name: 'd', protocol: 'udp', port: 5301, nodePort: 30_999 }] }),
      [0, 1, 0],
    ],
    [
      'an endpoint ends but serves',
      (bed) => (bed.endpoints = [{ ...pod5, ready: false, terminating: true }, pod6]),
      [1, 1, 1],
    ],
    [
      'externalTrafficPolicy Local loses its local endpoint',
      (bed) => {
        bed.service = { externalTrafficPolicy: 'Local' }
        bed.endpoints = [{ address: parseAddress('10.244.2.7'), node: 'n2' }]
      },
      [0, 0, 0],
    ],
    ['another endpoint comes', (bed) => (bed.endpoints = [pod5, pod6]), [1, 1, 1]],
  ])('%s', async (_, change, left) => {
    await using it = await serviceBed()
    await it.sync()
    await askAll(it, 'pod5')
    change(it)
    await it.sync()
    expect(await counts(it)).toEqual(left)
  })

  test('an address of a load balancer, and its source ranges, which end the flows of those that they leave out', async () => {
    await using it = await serviceBed()
    const { outside } = it.net
    await outside.run('ip', ['addr', 'add', '192.168.0.10/24', 'dev', 'eth0'])
    const balanced: Changes = { ...clusterIpAlone, type: 'LoadBalancer', loadBalancerIps: [parseAddress(external[4])] }
    it.service = balanced
    await it.sync()
    await askUntil('pod5', outside, `${external[4]}:5300`, 40_001)
    await askUntil('pod5', outside, `${external[4]}:5300`, 40_002, { bind: '192.168.0.10' })
    it.service = { ...balanced, sourceRanges: [parseCidr('192.168.0.10/32')] }
    await it.sync()
    expect(await counts(it)).toEqual([0, 1, 0])
    expect(await ask(outside, `${external[4]}:5300`, 40_001)).toBeUndefined()
    it.service = clusterIpAlone
    await it.sync()
    expect(await counts(it)).toEqual([0, 0, 0])
  })

  test('host ports and Services leave each other their flows', async () => {
    await using it = await serviceBed()
    const { node, outside, rules } = it.net
    await it.sync()
    await rules.add(podAt(6, [hostPortOf(5300, { protocol: 'udp', containerPort: 53 })]))
    await askAll(it, 'pod5')
    await askUntil('pod6', outside, `${nodeAddress}:5300`, 40_006)
    it.service = clusterIpAlone
    await it.sync()
    expect(await counts(it)).toEqual([0, 0, 1])
    expect(await entriesFrom(node, 40_006)).toHaveLength(1)
    await rules.remove([podAt(6, [hostPortOf(5300, { protocol: 'udp', containerPort: 53 })])])
    expect(await entriesFrom(node, 40_006)).toEqual([])
    expect(await counts(it)).toEqual([0, 0, 1])
  })
})
