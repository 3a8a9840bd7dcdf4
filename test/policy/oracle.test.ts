// The oracle itself, against examples reckoned by hand: a sentence of the specification each.
import { describe, expect, test } from 'vitest'
import type { IngressRule, NetworkPolicy, Peer, PolicySpec, Port } from './network-policy.ts'
import { allowed, type Cluster, type Flow, type Pod } from './oracle.ts'

const web = { name: 'web', protocol: 'TCP', containerPort: 80 } as const
const pod = (namespace: string, name: string, address: string, more: Partial<Pod> = {}): Pod => ({
  namespace,
  name,
  address,
  labels: { app: name },
  node: 'near',
  ports: [web],
  ...more,
})
const db = pod('prod', 'db', '10.0.0.2')
const api = pod('prod', 'api', '10.0.0.3', { labels: { app: 'api', tier: 'front' } })
const spy = pod('test', 'spy', '10.0.1.2', { node: 'far', ports: [{ ...web, containerPort: 8080 }] })
const cluster: Omit<Cluster, 'policies'> = {
  namespaces: {
    prod: { 'kubernetes.io/metadata.name': 'prod', env: 'prod' },
    test: { 'kubernetes.io/metadata.name': 'test' },
  },
  pods: [db, api, spy],
  nodes: { near: ['192.168.0.1', '10.0.0.1'], far: ['192.168.0.2', '10.0.1.1', '10.0.1.0'] },
}
const onDb = (spec: PolicySpec): NetworkPolicy => ({
  namespace: 'prod',
  name: 'p',
  spec: { podSelector: { matchLabels: { app: 'db' } }, ...spec },
})

/** Of this connection, by default to the database's TCP port 80, with these policies. */
function verdict(
  policies: NetworkPolicy | readonly NetworkPolicy[],
  flow: Partial<Flow> & { from: string },
  more: Partial<Cluster> = {},
): boolean {
  return allowed(
    { ...cluster, policies: [policies].flat(), ...more },
    { to: db.address, port: 80, protocol: 'TCP', ...flow },
  )
}
const from = (...peers: Peer[]): NetworkPolicy => onDb({ ingress: [{ from: peers }] })
const at = (...ports: Port[]): NetworkPolicy => onDb({ ingress: [{ ports }] })

describe('selection and isolation', () => {
  test('without a policy all is allowed', () => expect(verdict([], { from: spy.address })).toBe(true))
  test('a policy selects pods of its own namespace alone', () => {
    expect(verdict({ ...onDb({}), namespace: 'test' }, { from: spy.address })).toBe(true)
    expect(verdict({ namespace: 'prod', name: 'all', spec: {} }, { from: spy.address })).toBe(false)
    expect(verdict({ namespace: 'prod', name: 'all', spec: {} }, { from: db.address, to: spy.address })).toBe(true)
  })
  test('ingress and egress are isolated each by itself', () => {
    expect(verdict(onDb({ policyTypes: ['Ingress'] }), { from: db.address, to: api.address })).toBe(true)
    expect(verdict(onDb({ policyTypes: ['Egress'] }), { from: db.address, to: api.address })).toBe(false)
    expect(verdict(onDb({ policyTypes: ['Egress'] }), { from: api.address })).toBe(true)
  })
  test.each<[string, PolicySpec, ingress: boolean, egress: boolean]>([
    ['nothing said', {}, false, true],
    ['an egress rule', { egress: [{ to: [{ podSelector: {} }] }] }, false, false],
    ['no egress rule in an egress section', { egress: [] }, false, true],
    ['Egress said, rules for both', { policyTypes: ['Egress'], ingress: [], egress: [] }, true, false],
  ])('policyTypes with %s', (_, spec, ingress, egress) => {
    expect(verdict(onDb(spec), { from: spy.address })).toBe(ingress)
    expect(verdict(onDb(spec), { from: db.address, to: spy.address })).toBe(egress)
  })
  test('what any of several policies allows is allowed', () => {
    const [one, other] = [
      from({ podSelector: { matchLabels: { app: 'api' } } }),
      from({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'test' } } }),
    ]
    expect([api, spy].map(({ address }) => verdict(one, { from: address }))).toEqual([true, false])
    expect([api, spy].map(({ address }) => verdict([onDb({}), one, other], { from: address }))).toEqual([true, true])
  })
  test('a flow takes the egress of its source and the ingress of its destination', () => {
    const out: NetworkPolicy = {
      namespace: 'test',
      name: 'out',
      spec: { policyTypes: ['Egress'], egress: [{ ports: [{ port: 81 }] }] },
    }
    expect(verdict([out, at({ port: 80 })], { from: spy.address })).toBe(false)
    expect(verdict([out, at({ port: 81 })], { from: spy.address, port: 81 })).toBe(true)
    expect(verdict([out, at({ port: 80 })], { from: spy.address, port: 81 })).toBe(false)
  })
})

test.each<[string, readonly IngressRule[], boolean]>([
  ['no rule', [], false],
  ['an empty rule', [{}], true],
  ['empty lists in it', [{ from: [], ports: [] }], true],
])('%s allows all or nothing', (_, ingress, expected) =>
  expect(verdict(onDb({ ingress }), { from: spy.address })).toBe(expected),
)

describe('peers', () => {
  test.each<[string, Peer[], fromApi: boolean, fromSpy: boolean]>([
    ['pods of the own namespace', [{ podSelector: {} }], true, false],
    ['pods of the own namespace by label', [{ podSelector: { matchLabels: { app: 'spy' } } }], false, false],
    [
      'all pods of a namespace',
      [{ namespaceSelector: { matchExpressions: [{ key: 'env', operator: 'DoesNotExist' }] } }],
      false,
      true,
    ],
    ['all pods of all namespaces', [{ namespaceSelector: {} }], true, true],
    [
      'both selectors in one entry: and',
      [{ namespaceSelector: { matchLabels: { env: 'prod' } }, podSelector: { matchLabels: { app: 'spy' } } }],
      false,
      false,
    ],
    [
      'both selectors in two entries: or',
      [
        { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'test' } } },
        { podSelector: { matchLabels: { app: 'api' } } },
      ],
      true,
      true,
    ],
    [
      'In',
      [{ podSelector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['front', 'back'] }] } }],
      true,
      false,
    ],
    [
      'NotIn, of what has another value and of what has none',
      [
        {
          namespaceSelector: {},
          podSelector: { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['front'] }] },
        },
      ],
      false,
      true,
    ],
    [
      'Exists',
      [{ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: 'tier', operator: 'Exists' }] } }],
      true,
      false,
    ],
    [
      'labels and expressions: and',
      [{ podSelector: { matchLabels: { app: 'api' }, matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] } }],
      false,
      false,
    ],
    ['a block', [{ ipBlock: { cidr: '10.0.1.0/24' } }], false, true],
    ['a block with host bits', [{ ipBlock: { cidr: '10.0.1.77/24' } }], false, true],
    ['a block without what it excepts', [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.1.0/28'] } }], true, false],
    ['a block of the other family', [{ ipBlock: { cidr: '::/0' } }], false, false],
  ])('%s', (_, peers, fromApi, fromSpy) => {
    expect(verdict(from(...peers), { from: api.address })).toBe(fromApi)
    expect(verdict(from(...peers), { from: spy.address })).toBe(fromSpy)
  })
  test('an excepted block is allowed by another peer', () =>
    expect(
      verdict(from({ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }, { podSelector: {} }), {
        from: api.address,
      }),
    ).toBe(true))
})

describe('ports', () => {
  test.each<[string, Port, [port: number, protocol: Flow['protocol'], allowed: boolean][]]>([
    [
      'a number is of TCP unless told',
      { port: 80 },
      [
        [80, 'TCP', true],
        [80, 'UDP', false],
        [81, 'TCP', false],
      ],
    ],
    [
      'a protocol alone is all of its ports',
      { protocol: 'SCTP' },
      [
        [80, 'SCTP', true],
        [9, 'SCTP', true],
        [80, 'TCP', false],
      ],
    ],
    [
      'a range has both of its ends',
      { port: 80, endPort: 82 },
      [
        [79, 'TCP', false],
        [80, 'TCP', true],
        [82, 'TCP', true],
        [83, 'TCP', false],
      ],
    ],
    [
      "a name is the pod's number of it, with that protocol",
      { port: 'web' },
      [
        [80, 'TCP', true],
        [8080, 'TCP', false],
      ],
    ],
    [
      'a name with another protocol is no port',
      { port: 'web', protocol: 'UDP' },
      [
        [80, 'UDP', false],
        [80, 'TCP', false],
      ],
    ],
    ['a name that no pod has is no port', { port: 'nowhere' }, [[80, 'TCP', false]]],
  ])('%s', (_, port, flows) => {
    for (const [number, protocol, expected] of flows)
      expect(verdict(at(port), { from: spy.address, port: number, protocol })).toBe(expected)
  })
  test('for egress a name is looked up at each peer, and a block has none', () => {
    const out = (peer: Peer[]): NetworkPolicy =>
      onDb({ policyTypes: ['Egress'], egress: [{ to: peer, ports: [{ port: 'web' }] }] })
    const to = (policy: NetworkPolicy, pod: Pod, port: number): boolean =>
      verdict(policy, { from: db.address, to: pod.address, port })
    for (const policy of [out([{ namespaceSelector: {} }]), out([])])
      expect([to(policy, api, 80), to(policy, api, 8080), to(policy, spy, 80), to(policy, spy, 8080)]).toEqual([
        true,
        false,
        false,
        true,
      ])
    expect(to(out([{ ipBlock: { cidr: '0.0.0.0/0' } }]), api, 80)).toBe(false)
  })
})

describe('nodes and pods without a network of their own', () => {
  const closed = onDb({ policyTypes: ['Ingress', 'Egress'] })
  test("a pod's own node reaches it and is reached, another does not", () => {
    expect(verdict(closed, { from: '192.168.0.1' })).toBe(true)
    expect(verdict(closed, { from: '10.0.0.1' })).toBe(true)
    expect(verdict(closed, { from: db.address, to: '192.168.0.1' })).toBe(true)
    expect(verdict(closed, { from: '10.0.1.0' })).toBe(false)
  })
  test('another node is a peer by the address that it is known by, and by the one that it sends with', () => {
    const reached = (...peers: Peer[]): boolean => verdict(from(...peers), { from: '10.0.1.0' })
    expect(reached({ ipBlock: { cidr: '192.168.0.2/32' } })).toBe(true)
    expect(reached({ ipBlock: { cidr: '10.0.1.0/32' } })).toBe(true)
    expect(reached({ ipBlock: { cidr: '192.168.0.1/32' } })).toBe(false)
    expect(reached({ ipBlock: { cidr: '0.0.0.0/0', except: ['192.168.0.0/24'] } })).toBe(false)
    expect(reached({ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } })).toBe(false)
    expect(reached({ namespaceSelector: {} })).toBe(false)
  })
  test('a host-network pod is neither selected nor a peer', () => {
    const host = pod('prod', 'host', '192.168.0.2', { hostNetwork: true, node: 'far' })
    const pods = [...cluster.pods, host]
    expect(
      verdict({ namespace: 'prod', name: 'all', spec: {} }, { from: spy.address, to: host.address }, { pods }),
    ).toBe(true)
    expect(verdict(from({ podSelector: {} }), { from: host.address }, { pods })).toBe(false)
  })
  test('a pod that has ended is nobody, even where its address is used again', () => {
    const pods = [pod('prod', 'ended', spy.address, { finished: true }), ...cluster.pods]
    expect(verdict(from({ podSelector: {} }), { from: spy.address }, { pods })).toBe(false)
  })
  test('a pod reaches itself', () => expect(verdict(closed, { from: db.address })).toBe(true))
})
