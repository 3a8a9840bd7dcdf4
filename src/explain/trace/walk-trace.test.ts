import { expect, test } from 'vitest'
import { foundPod, local, RecordedNode } from '../../../test/support/trace/recorded-node.ts'
import type { NftObject } from '../../kernel/nftables.ts'
import { parseAddress } from '../../net/address.ts'
import { parseMac } from '../../net/mac.ts'
import { formatTrace } from './format.ts'
import { agentRepairs, arrives, type Hop, type Path } from './hop.ts'
import { parseArgument, TraceInputError } from './trace-argument.ts'
import { resolveSource, resolveTarget, type TraceSource, type TraceTarget } from './trace-ends.ts'
import { walkTrace } from './walk-trace.ts'

const web = {
  namespace: 'default',
  name: 'web',
  type: 'NodePort',
  clusterIps: [parseAddress('10.254.1.1')],
  externalIps: [],
  loadBalancerIps: [],
  ports: [{ name: 'http', protocol: 'tcp', port: 80, nodePort: 30080 }],
} as const
const isolated = {
  ingress: [
    {
      name: 'database',
      rules: [
        {
          peers: [{ namespaces: undefined, pods: [{ key: 'tier', operator: 'In', values: ['data'] }] }],
          ports: [{ protocol: 'tcp', first: 8080, last: 8080 }],
        },
      ],
    },
  ],
} as const
const pods = [
  foundPod('a', '172.30.0.2'),
  foundPod('db', '172.30.0.3', isolated as never),
  foundPod('near', '172.30.0.4', { labels: { tier: 'front' } }),
  foundPod('b', '172.30.1.2', { node: 'node2' }),
  foundPod('far', '172.30.1.3', { node: 'node2', labels: { tier: 'data' } }),
]

function target(address: string, port: number, service?: string): TraceTarget {
  return { text: address, address: parseAddress(address), port, protocol: 'tcp', service, external: false }
}

function pod(name: string): TraceSource {
  return resolveSource(parseArgument(name), undefined, local)
}

function walk(from: TraceSource, to: TraceTarget, change: (node: RecordedNode) => void = () => undefined): Path {
  const node = new RecordedNode()
  node.found = pods
  change(node)
  return node.walk(walkTrace(local, from, to))
}

function lastHops(path: Path): Hop[] {
  return path.branches.length === 0 ? path.hops.slice(-1) : path.branches.flatMap(lastHops)
}

const places = (path: Path): string[] => path.hops.map(({ at }) => at)
const broken = (path: Path): string[] => lastHops(path).map((hop) => hop.broken?.problem ?? `arrives at ${hop.at}`)

const node: TraceSource = { kind: 'node', text: 'node1' }
const outside = resolveSource(parseArgument('192.168.0.100'), undefined, local)
const hopsBetweenLocalPods = [
  'in the pod',
  'veth',
  'filter FAIRLEAD-FORWARD',
  'policy',
  'cni0',
  'veth',
  'pod default/a',
  'port 8080/tcp',
]

test('walks from pod to pod on one node by two ports of the bridge', () => {
  expect(places(walk(pod('near'), target('172.30.0.2', 8080)))).toEqual(hopsBetweenLocalPods)
})

test('walks the rest when it cannot enter the namespace of the pod', () => {
  const path = walk(pod('near'), target('172.30.0.2', 8080), (n) => n.podLinks.clear())
  expect(places(path)).toEqual(['veth', 'filter FAIRLEAD-FORWARD', 'policy', 'cni0', 'veth', 'port 8080/tcp'])
  expect(path.hops[0]?.note).toBe("the pod's namespace cannot be entered from here: /run/netns/near")
})

test('walks to a pod of another node by route, neighbour entry, FDB entry and underlay', () => {
  const path = walk(pod('near'), target('172.30.1.2', 8080))
  expect(path.hops.map(({ object }) => object).slice(-4)).toEqual([
    '172.30.1.0 lladdr 02:58:ac:1e:01:00 PERMANENT',
    '02:58:ac:1e:01:00 dst 192.168.0.22 self permanent',
    '192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.21',
    '172.30.1.2 behind 192.168.0.22',
  ])
  expect(arrives(path)).toBe(true)
})

test('accepts a direct route by way of the other node, and reports a route by way of another machine', () => {
  const direct = (gateway: string) => (n: RecordedNode) => {
    n.links = n.links.filter(({ name }) => name !== 'fairlead.1')
    n.routes = n.routes.map((route) =>
      route.to === '172.30.1.0/24'
        ? {
            ...route,
            line: `172.30.1.0/24 via ${gateway} dev eth0 proto 98`,
            json: { gateway, dev: 'eth0', prefsrc: '192.168.0.21' },
          }
        : route,
    )
  }
  expect(places(walk(pod('near'), target('172.30.1.2', 8080), direct('192.168.0.22'))).slice(-3)).toEqual([
    'policy',
    'underlay',
    'node2',
  ])
  const [hop] = lastHops(walk(pod('near'), target('172.30.1.2', 8080), direct('192.168.0.99')))
  expect(hop?.broken).toEqual({
    problem:
      'the route to 172.30.1.0/24, the pods of node2, is missing: ' +
      'packets for 172.30.1.2 take 172.30.1.0/24 via 192.168.0.99 dev eth0',
    remedy: `${agentRepairs}; by hand: ip route replace 172.30.1.0/24 via 192.168.0.22 proto 98`,
  })
})

test('makes a branch for each endpoint of a Service, with its share of the connections', () => {
  const path = walk(pod('near'), target('10.254.1.1', 80, 'default/web'))
  expect(places(path).slice(-2)).toEqual(['veth', 'nat KUBE-SERVICES'])
  expect(path.branches.map(({ chance, hops }) => [chance, hops.at(-1)?.at])).toEqual([
    [0.5, 'port 8080/tcp'],
    [0.5, 'node2'],
  ])
})

test('masquerades a pod that reaches itself through a Service, and requires hairpin on its port', () => {
  const toItself = (path: Path): Path => path.branches[0]!
  expect(
    toItself(walk(pod('a'), target('10.254.1.1', 80, 'default/web'))).hops.map(
      ({ at, note }) => `${at}${note === undefined ? '' : `: ${note}`}`,
    ),
  ).toContain('nat KUBE-POSTROUTING: from here on it comes from 172.30.0.1')
  const withoutHairpin = walk(
    pod('a'),
    target('10.254.1.1', 80, 'default/web'),
    (node) => (node.links = node.links.map((link) => ({ ...link, hairpin: false }))),
  )
  expect(broken(toItself(withoutHairpin))).toEqual([
    'the pod sends to itself, and veth-a does not send packets back (hairpin is off)',
  ])
})

test.each<[string, TraceSource, TraceTarget, string[]]>([
  [
    'reports a port of a pod without a listener',
    pod('near'),
    target('172.30.0.2', 81),
    ['no process listens on port 81/tcp of default/a: the client is refused'],
  ],
  [
    'reports a port of the node without a listener',
    outside,
    target('192.168.0.21', 30099),
    ['no process listens on port 30099/tcp of node1: the client is refused'],
  ],
  [
    'reports a Service without endpoints',
    pod('near'),
    target('10.254.1.2', 80, 'default/none'),
    ['Service default/none has no endpoints: the client is refused'],
  ],
  [
    'reports a port that a Service does not have',
    pod('near'),
    target('10.254.1.1', 81, 'default/web'),
    ['no rule leads 10.254.1.1:81/tcp to an endpoint of Service default/web'],
  ],
  [
    'reports an address that no pod has',
    pod('near'),
    target('172.30.0.77', 80),
    ['no pod of this node has 172.30.0.77: nothing answers'],
  ],
  [
    'reports the policy that denies a connection',
    pod('near'),
    target('172.30.0.3', 8080),
    ['denied by isolation of default/db: no ingress rule of policy database admits default/near to port 8080/tcp'],
  ],
  ['lets the node of an isolated pod connect to it', node, target('172.30.0.3', 8080), ['arrives at port 8080/tcp']],
  [
    'reaches a node port from outside',
    outside,
    target('192.168.0.21', 30080),
    ['arrives at port 8080/tcp', 'arrives at node2'],
  ],
  [
    'reports that a cluster IP cannot be reached from outside',
    outside,
    target('10.254.1.1', 80, 'default/web'),
    [
      'clients outside the cluster have no route to 10.254.1.1, a cluster IP, unless one was added: ' +
        'Service default/web is not exposed',
    ],
  ],
  [
    'reaches an address outside the cluster from a pod',
    pod('near'),
    target('192.168.0.100', 8080),
    ['arrives at eth0'],
  ],
  [
    'reports egress isolation by policies that it cannot name',
    pod('caged'),
    target('192.168.0.150', 80),
    ['denied by isolation of 172.30.0.5 (egress); only the agent knows by which policies'],
  ],
])('%s', (_, from, to, ends) => {
  expect(broken(walk(from, to))).toEqual(ends)
})

test('suggests a policy that would admit a denied connection', () => {
  const [hop] = lastHops(walk(pod('near'), target('172.30.0.3', 8080)))
  expect(hop?.broken?.policy).toMatchObject({
    metadata: { namespace: 'default' },
    spec: {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [
        { from: [{ podSelector: { matchLabels: { tier: 'front' } } }], ports: [{ protocol: 'TCP', port: 8080 }] },
      ],
    },
  })
})

const bridgeTable = (...addresses: readonly string[]): NftObject[] => [
  { set: { name: 'senders', elem: ['veth-caged'] } },
  { set: { name: 'sources4', elem: addresses.map((address) => ({ concat: ['veth-caged', address] })) } },
  {
    set: {
      name: 'forged',
      stmt: [{ counter: null }],
      elem: [{ elem: { val: 'veth-caged', counter: { packets: 3, bytes: 84 } } }],
    },
  },
]

test('checks the source address of an isolated pod at the bridge, and counts its spoofed packets', () => {
  const to = target('192.168.0.100', 8080)
  const hopOf = (from: TraceSource, ...addresses: readonly string[]) =>
    walk(from, to, (n) => (n.wireTable = bridgeTable(...addresses))).hops.find(({ at }) => at === 'policy source')
  expect(hopOf(pod('caged'), '172.30.0.5')).toMatchObject({
    object: 'set sources4: veth-caged . 172.30.0.5',
    note: 'isolated, so held to its own addresses: 3 packets with another source were dropped',
    command: 'nft list set bridge fairlead forged',
  })
  expect(hopOf(pod('near'), '172.30.0.5')).toBeUndefined()
  const path = walk(pod('caged'), to, (n) => (n.wireTable = bridgeTable('172.30.0.9')))
  expect(path.hops.at(-1)).toMatchObject({
    at: 'policy source',
    command: 'nft list set bridge fairlead sources4',
    broken: {
      problem: 'table bridge fairlead does not know 172.30.0.5 at veth-caged, and drops it as spoofed',
    },
  })
})

test('names the policy and the rule that admit a connection', () => {
  const path = walk(resolveSource(parseArgument('far'), pods[4], local), target('172.30.0.3', 8080))
  expect(path.hops.find(({ at }) => at === 'policy ingress')?.note).toBe('admitted by policy database, rule 1')
  expect(arrives(path)).toBe(true)
})

test.each<[string, (node: RecordedNode) => void, string]>([
  [
    'no route to its pods',
    (n) => (n.routes = n.routes.filter(({ to }) => to !== '172.30.1.0/24')),
    'the route to 172.30.1.0/24, the pods of node2, is missing: ' +
      'packets for 172.30.1.2 take default via 192.168.0.1 dev eth0',
  ],
  [
    'no route at all',
    (n) => (n.routes = n.routes.slice(0, 2)),
    'the route to 172.30.1.0/24, the pods of node2, is missing: ' +
      'no route leads to 172.30.1.2 (Network is unreachable)',
  ],
  [
    'no neighbour',
    (n) => (n.neighbours = []),
    'fairlead.1 has no neighbour entry for 172.30.1.0, the VTEP of node2: packets stop here',
  ],
  [
    'the MAC of another node in the neighbour entry',
    (n) => (n.neighbours = n.neighbours.map((each) => ({ ...each, mac: parseMac('02:58:ac:1e:09:00') }))),
    'fairlead.1 has 02:58:ac:1e:09:00 for 172.30.1.0, the VTEP of node2, which has 02:58:ac:1e:01:00: ' +
      'packets stop here',
  ],
  [
    'no FDB entry',
    (n) => (n.fdb = []),
    'fairlead.1 has no FDB entry for 02:58:ac:1e:01:00, the VTEP of node2: packets stop here',
  ],
  [
    'an FDB entry for a machine that is no node',
    (n) => (n.fdb = n.fdb.map((each) => ({ ...each, destination: parseAddress('192.168.0.99') }))),
    'fairlead.1 sends packets for node2 to 192.168.0.99, which is not its address: packets stop here',
  ],
  [
    'the veth of the pod down',
    (n) => (n.links = n.links.map((link) => (link.name === 'veth-near' ? { ...link, up: false } : link))),
    'veth-near, the veth of default/near, is down',
  ],
  [
    'the interface of the pod gone',
    (n) => n.podLinks.set('/run/netns/near', []),
    'eth0 of default/near does not exist',
  ],
  [
    'a FORWARD chain whose policy drops',
    (n) => (n.rules = { ...n.rules, filter: '-P FORWARD DROP\n' }),
    "no rule of chain FORWARD accepts the packet, and the chain's policy drops it",
  ],
])('reports on the way to another node: %s', (_, change, problem) => {
  const path = walk(pod('near'), target('172.30.1.2', 8080), change)
  expect(broken(path)).toEqual([problem])
  expect(lastHops(path)[0]?.broken?.remedy).not.toBe('')
})

test('resolves names, suggests similar ones, and lists the meanings of an ambiguous one', () => {
  const found = (of: string, changes: object) => ({
    of,
    pods: [],
    services: [],
    nodes: [],
    allPods: true,
    near: [],
    ...changes,
  })
  expect(() =>
    resolveTarget(parseArgument('wbe:80'), found('wbe', { near: ['default/web'] }), pod('near'), 'tcp', local),
  ).toThrow(new TraceInputError('No pod, Service or node is called wbe: is it default/web?'))
  const both = found('web', { pods: pods[0]!.pods, services: [web] })
  expect(() => resolveTarget(parseArgument('web'), both, pod('near'), 'tcp', local)).toThrow(
    new TraceInputError('web may be pod/default/a or svc/default/web: say which'),
  )
  expect(resolveTarget(parseArgument('svc/web:http'), both, pod('near'), 'tcp', local)).toMatchObject({
    address: '10.254.1.1',
    port: 80,
    service: 'default/web',
  })
  expect(resolveTarget(parseArgument('svc/web'), both, outside, 'tcp', local)).toMatchObject({
    address: '192.168.0.21',
    port: 30080,
  })
  expect(() => resolveTarget(parseArgument('svc/web'), both, pod('near'), 'udp', local)).toThrow(
    'Service default/web has no port of udp: it has http 80/tcp',
  )
  expect(() => resolveTarget(parseArgument('b'), undefined, pod('near'), 'tcp', local)).toThrow(
    'The agent does not answer',
  )
})

test.each([
  ['web', { name: 'web' }],
  ['shop/web:80', { name: 'shop/web', port: '80' }],
  ['svc/shop/web:http', { kind: 'service', name: 'shop/web', port: 'http' }],
  ['10.0.0.1:80', { name: '10.0.0.1', port: '80' }],
  ['[fd00::1]:80', { name: 'fd00::1', port: '80' }],
  ['fd00:0::1', { name: 'fd00::1' }],
])('parses %s', (text, argument) => {
  expect(parseArgument(text)).toEqual({ kind: undefined, port: undefined, ...argument })
})

test('shows one arriving and one broken branch of many hop by hop, and one line for each other branch', () => {
  const endpoints = Array.from({ length: 12 }, (_, i) => `172.30.0.${i + 2}`)
  const chance = (share: number): string => `-m statistic --mode random --probability ${share.toFixed(11)}`
  const rules = endpoints.flatMap((address, i) => [
    `-A KUBE-SVC-MANY ${chance(1 / (endpoints.length - i))} -j KUBE-SEP-${i}`,
    `-A KUBE-SEP-${i} -p tcp -m tcp -j DNAT --to-destination ${address}:8080`,
  ])
  const nat = [
    '-A PREROUTING -j KUBE-SERVICES',
    '-A KUBE-SERVICES -d 10.254.1.3/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-MANY',
    ...rules,
    '-P POSTROUTING ACCEPT\n',
  ].join('\n')
  const path = walk(pod('near'), target('10.254.1.3', 80, 'default/many'), (n) => (n.rules = { ...n.rules, nat }))
  const lines = formatTrace({ from: '', to: '', path, remarks: [] }).split('\n')
  expect(lines.filter((line) => line.endsWith('of connections:'))).toHaveLength(2)
  expect(lines).toContain('8.3 % of connections: 172.30.0.4:8080, arrives')
  expect(lines).toContain('8.3 % of connections: 172.30.0.7:8080, no pod of this node has 172.30.0.7: nothing answers')
  expect(lines.at(-1)).toBe('25 % of connections arrive.')
})

test('formats a line for each hop, and the remedy at a broken one', () => {
  const path = walk(pod('near'), target('10.254.1.1', 80, 'default/web'), (n) => (n.fdb = []))
  const text = formatTrace({ from: 'pod default/near', to: 'Service default/web', path, remarks: [] })
  expect(text).toContain('50 % of connections:\n  ok      nat KUBE-SVC-LOLE4ISW44XBNF3G')
  expect(text.split('\n').slice(-6)).toEqual([
    expect.stringMatching(/^ {2}BROKEN {2}fairlead\.1 +no FDB entry/) as string,
    '          $ bridge fdb show dev fairlead.1',
    '          fairlead.1 has no FDB entry for 02:58:ac:1e:01:00, the VTEP of node2: packets stop here',
    expect.stringMatching(/^ {10}-> the agent puts it back/) as string,
    '',
    '50 % of connections arrive.',
  ])
})
