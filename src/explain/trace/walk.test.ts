import { expect, test } from 'vitest'
import type { NftObject } from '../../kernel/nftables.ts'
import { parseAddress } from '../../net/address.ts'
import { parseMac } from '../../net/mac.ts'
import { formatTrace } from './format.ts'
import { arrives, type Hop, type Path } from './hop.ts'
import { type Goal, goalOf, parseNamed, PlaceError, type Start, startOf } from './place.ts'
import { foundPod, here, RecordedNode } from '../../../test/support/trace/recorded-node.ts'
import { walkTrace } from './walk.ts'

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

function goal(address: string, port: number, service?: string): Goal {
  return { text: address, address: parseAddress(address), port, protocol: 'tcp', service, external: false }
}

function pod(name: string): Start {
  return startOf(parseNamed(name), undefined, here)
}

function walk(start: Start, to: Goal, change: (node: RecordedNode) => void = () => undefined): Path {
  const node = new RecordedNode()
  node.found = pods
  change(node)
  return node.walk(walkTrace(here, start, to))
}

function lastHops(path: Path): Hop[] {
  return path.branches.length === 0 ? path.hops.slice(-1) : path.branches.flatMap(lastHops)
}

const places = (path: Path): string[] => path.hops.map(({ at }) => at)
const broken = (path: Path): string[] => lastHops(path).map((hop) => hop.broken?.problem ?? `arrives at ${hop.at}`)

const node: Start = { kind: 'node', text: 'node1' }
const outside = startOf(parseNamed('192.168.0.100'), undefined, here)
const wayBetween = [
  'in the pod',
  'veth',
  'filter FAIRLEAD-FORWARD',
  'policy',
  'cni0',
  'veth',
  'pod default/a',
  'port 8080/tcp',
]

test('pod to pod on one node: by two ports of the bridge', () => {
  expect(places(walk(pod('near'), goal('172.30.0.2', 8080)))).toEqual(wayBetween)
})

test('a pod whose namespace is out of sight: all the rest is told', () => {
  const path = walk(pod('near'), goal('172.30.0.2', 8080), (n) => n.podLinks.clear())
  expect(places(path)).toEqual(['veth', 'filter FAIRLEAD-FORWARD', 'policy', 'cni0', 'veth', 'port 8080/tcp'])
  expect(path.hops[0]?.note).toBe("the pod's namespace cannot be entered from here: /run/netns/near")
})

test('pod to pod of another node: route, neighbour, FDB entry, underlay', () => {
  const path = walk(pod('near'), goal('172.30.1.2', 8080))
  expect(path.hops.map(({ object }) => object).slice(-4)).toEqual([
    '172.30.1.0 lladdr 02:58:ac:1e:01:00 PERMANENT',
    '02:58:ac:1e:01:00 dst 192.168.0.22 self permanent',
    '192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.21',
    '172.30.1.2 behind 192.168.0.22',
  ])
  expect(arrives(path)).toBe(true)
})

test('direct routes: the other node is the gateway, and a route to another is told', () => {
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
  expect(places(walk(pod('near'), goal('172.30.1.2', 8080), direct('192.168.0.22'))).slice(-3)).toEqual([
    'policy',
    'underlay',
    'node2',
  ])
  const [hop] = lastHops(walk(pod('near'), goal('172.30.1.2', 8080), direct('192.168.0.99')))
  expect(hop?.broken).toEqual({
    problem:
      'the route to 172.30.1.0/24, the pods of node2, is missing: what is for 172.30.1.2 goes by 172.30.1.0/24 via 192.168.0.99 dev eth0',
    remedy:
      'the agent puts it back within 15 s while it runs (fairlead status); by hand: ip route replace 172.30.1.0/24 via 192.168.0.22 proto 98',
  })
})

test('a Service: a branch for each endpoint, each with its share', () => {
  const path = walk(pod('near'), goal('10.254.1.1', 80, 'default/web'))
  expect(places(path).slice(-2)).toEqual(['veth', 'nat KUBE-SERVICES'])
  expect(path.branches.map(({ chance, hops }) => [chance, hops.at(-1)?.at])).toEqual([
    [0.5, 'port 8080/tcp'],
    [0.5, 'node2'],
  ])
})

test('a pod that reaches itself through a Service is masqueraded, and needs a port that sends back', () => {
  const toItself = (path: Path): Path => path.branches[0]!
  expect(
    toItself(walk(pod('a'), goal('10.254.1.1', 80, 'default/web'))).hops.map(
      ({ at, note }) => `${at}${note === undefined ? '' : `: ${note}`}`,
    ),
  ).toContain('nat KUBE-POSTROUTING: from here on it comes from 172.30.0.1')
  const still = walk(
    pod('a'),
    goal('10.254.1.1', 80, 'default/web'),
    (node) => (node.links = node.links.map((link) => ({ ...link, hairpin: false }))),
  )
  expect(broken(toItself(still))).toEqual([
    'the pod is to reach itself, and veth-a does not send back what came in by it',
  ])
})

test.each<[string, Start, Goal, string[]]>([
  [
    'a port that nobody listens on',
    pod('near'),
    goal('172.30.0.2', 81),
    ['nobody listens on port 81/tcp of default/a: the client is refused'],
  ],
  [
    'a port of the node that nobody listens on',
    outside,
    goal('192.168.0.21', 30099),
    ['nobody listens on port 30099/tcp of node1: the client is refused'],
  ],
  [
    'a Service without endpoints',
    pod('near'),
    goal('10.254.1.2', 80, 'default/none'),
    ['Service default/none has no endpoints: the client is refused'],
  ],
  [
    'a port that a Service has not',
    pod('near'),
    goal('10.254.1.1', 81, 'default/web'),
    ['no rule leads 10.254.1.1:81/tcp to an endpoint of Service default/web'],
  ],
  [
    'an address that no pod has',
    pod('near'),
    goal('172.30.0.77', 80),
    ['no pod of this node has 172.30.0.77: nobody answers'],
  ],
  [
    'a pod under a policy',
    pod('near'),
    goal('172.30.0.3', 8080),
    ['denied by isolation of default/db: no ingress rule of policy database admits default/near to port 8080/tcp'],
  ],
  ['a pod under a policy from its own node', node, goal('172.30.0.3', 8080), ['arrives at port 8080/tcp']],
  [
    'from outside to a node port',
    outside,
    goal('192.168.0.21', 30080),
    ['arrives at port 8080/tcp', 'arrives at node2'],
  ],
  [
    'from outside to a cluster IP',
    outside,
    goal('10.254.1.1', 80, 'default/web'),
    [
      'nobody outside has a route to 10.254.1.1, a cluster IP, unless somebody gave it one: Service default/web has nothing that leads in',
    ],
  ],
  ['from a pod to the world', pod('near'), goal('192.168.0.100', 8080), ['arrives at eth0']],
  [
    'from an isolated pod to the world',
    pod('caged'),
    goal('192.168.0.150', 80),
    ['denied by isolation of 172.30.0.5 (egress); which policies do it, only the agent knows'],
  ],
])('%s', (_, start, to, ends) => {
  expect(broken(walk(start, to))).toEqual(ends)
})

test('what is denied comes with a policy that would admit it', () => {
  const [hop] = lastHops(walk(pod('near'), goal('172.30.0.3', 8080)))
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

const wires = (...addresses: readonly string[]): NftObject[] => [
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

test('an isolated pod is held to its address where it enters the bridge, and what it sent with others is told', () => {
  const to = goal('192.168.0.100', 8080)
  const hopOf = (start: Start, ...addresses: readonly string[]) =>
    walk(start, to, (n) => (n.wireTable = wires(...addresses))).hops.find(({ at }) => at === 'policy source')
  expect(hopOf(pod('caged'), '172.30.0.5')).toMatchObject({
    object: 'set sources4: veth-caged . 172.30.0.5',
    note: 'isolated, so held to its own addresses: 3 packets with another source were dropped',
    command: 'nft list set bridge fairlead forged',
  })
  expect(hopOf(pod('near'), '172.30.0.5')).toBeUndefined()
  const path = walk(pod('caged'), to, (n) => (n.wireTable = wires('172.30.0.9')))
  expect(path.hops.at(-1)).toMatchObject({
    at: 'policy source',
    command: 'nft list set bridge fairlead sources4',
    broken: {
      problem: "table bridge fairlead does not know 172.30.0.5 at veth-caged, and drops what it sends as another's",
    },
  })
})

test('what is admitted names the policy and its rule', () => {
  const path = walk(startOf(parseNamed('far'), pods[4], here), goal('172.30.0.3', 8080))
  expect(path.hops.find(({ at }) => at === 'policy ingress')?.note).toBe('admitted by policy database, rule 1')
  expect(arrives(path)).toBe(true)
})

test.each<[string, (node: RecordedNode) => void, string]>([
  [
    'no route',
    (n) => (n.routes = n.routes.filter(({ to }) => to !== '172.30.1.0/24')),
    'the route to 172.30.1.0/24, the pods of node2, is missing: what is for 172.30.1.2 goes by default via 192.168.0.1 dev eth0',
  ],
  [
    'no route at all',
    (n) => (n.routes = n.routes.slice(0, 2)),
    'the route to 172.30.1.0/24, the pods of node2, is missing: no route leads to 172.30.1.2 (Network is unreachable)',
  ],
  [
    'no neighbour',
    (n) => (n.neighbours = []),
    'fairlead.1 has no neighbour entry for 172.30.1.0, the VTEP of node2: packets stop here',
  ],
  [
    'another MAC',
    (n) => (n.neighbours = n.neighbours.map((each) => ({ ...each, mac: parseMac('02:58:ac:1e:09:00') }))),
    'fairlead.1 has 02:58:ac:1e:09:00 for 172.30.1.0, the VTEP of node2, which has 02:58:ac:1e:01:00: packets stop here',
  ],
  [
    'no FDB entry',
    (n) => (n.fdb = []),
    'fairlead.1 has no FDB entry for 02:58:ac:1e:01:00, the VTEP of node2: packets stop here',
  ],
  [
    'an FDB entry to nobody',
    (n) => (n.fdb = n.fdb.map((each) => ({ ...each, destination: parseAddress('192.168.0.99') }))),
    'fairlead.1 sends what is for node2 to 192.168.0.99, which is not its address: packets stop here',
  ],
  [
    'its wire down',
    (n) => (n.links = n.links.map((link) => (link.name === 'veth-near' ? { ...link, up: false } : link))),
    'veth-near, the wire of default/near, is down',
  ],
  ['its interface gone', (n) => n.podLinks.set('/run/netns/near', []), 'eth0 of default/near is not there'],
  [
    'a FORWARD policy',
    (n) => (n.rules = { ...n.rules, filter: '-P FORWARD DROP\n' }),
    "no rule of chain FORWARD accepts the packet, and the chain's policy drops it",
  ],
])('to another node with %s', (_, change, problem) => {
  const path = walk(pod('near'), goal('172.30.1.2', 8080), change)
  expect(broken(path)).toEqual([problem])
  expect(lastHops(path)[0]?.broken?.remedy).not.toBe('')
})

test('names: what nothing is called is answered with what comes near, and what may be two things with both', () => {
  const found = (of: string, changes: object) => ({
    of,
    pods: [],
    services: [],
    nodes: [],
    allPods: true,
    near: [],
    ...changes,
  })
  expect(() => goalOf(parseNamed('wbe:80'), found('wbe', { near: ['default/web'] }), pod('near'), 'tcp', here)).toThrow(
    new PlaceError('No pod, Service or node is called wbe: is it default/web?'),
  )
  const both = found('web', { pods: pods[0]!.pods, services: [web] })
  expect(() => goalOf(parseNamed('web'), both, pod('near'), 'tcp', here)).toThrow(
    new PlaceError('web may be pod/default/a or svc/default/web: say which'),
  )
  expect(goalOf(parseNamed('svc/web:http'), both, pod('near'), 'tcp', here)).toMatchObject({
    address: '10.254.1.1',
    port: 80,
    service: 'default/web',
  })
  expect(goalOf(parseNamed('svc/web'), both, outside, 'tcp', here)).toMatchObject({
    address: '192.168.0.21',
    port: 30080,
  })
  expect(() => goalOf(parseNamed('svc/web'), both, pod('near'), 'udp', here)).toThrow(
    'Service default/web has no port of udp: it has http 80/tcp',
  )
  expect(() => goalOf(parseNamed('b'), undefined, pod('near'), 'tcp', here)).toThrow('The agent does not answer')
})

test.each([
  ['web', { of: 'web' }],
  ['shop/web:80', { of: 'shop/web', port: '80' }],
  ['svc/shop/web:http', { kind: 'service', of: 'shop/web', port: 'http' }],
  ['10.0.0.1:80', { of: '10.0.0.1', port: '80' }],
  ['[fd00::1]:80', { of: 'fd00::1', port: '80' }],
  ['fd00:0::1', { of: 'fd00::1' }],
])('%s is read', (text, named) => {
  expect(parseNamed(text)).toEqual({ kind: undefined, port: undefined, ...named })
})

test('of many endpoints, one that arrives and one that does not are told hop by hop, and of the others the end', () => {
  const endpoints = Array.from({ length: 12 }, (_, i) => `172.30.0.${i + 2}`)
  const rules = endpoints.flatMap((address, i) => [
    `-A KUBE-SVC-MANY -m statistic --mode random --probability ${(1 / (endpoints.length - i)).toFixed(11)} -j KUBE-SEP-${i}`,
    `-A KUBE-SEP-${i} -p tcp -m tcp -j DNAT --to-destination ${address}:8080`,
  ])
  const nat = `-A PREROUTING -j KUBE-SERVICES\n-A KUBE-SERVICES -d 10.254.1.3/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-MANY\n${rules.join('\n')}\n-P POSTROUTING ACCEPT\n`
  const path = walk(pod('near'), goal('10.254.1.3', 80, 'default/many'), (n) => (n.rules = { ...n.rules, nat }))
  const lines = formatTrace({ from: '', to: '', path, remarks: [] }).split('\n')
  expect(lines.filter((line) => line.endsWith('of connections:'))).toHaveLength(2)
  expect(lines).toContain('8.3 % of connections: 172.30.0.4:8080, arrives')
  expect(lines).toContain('8.3 % of connections: 172.30.0.7:8080, no pod of this node has 172.30.0.7: nobody answers')
  expect(lines.at(-1)).toBe('25 % of connections arrive.')
})

test('for people: a line a hop, and where it breaks what to do', () => {
  const path = walk(pod('near'), goal('10.254.1.1', 80, 'default/web'), (n) => (n.fdb = []))
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
