import { expect, test } from 'vitest'
import { agentStatusShape } from '../agent/status-shape.ts'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import { examine, formatChecks } from './doctor.ts'
import { dropsOf } from './read-nft.ts'
import type { NodeFacts } from './node-facts.ts'
import type { PeerProbe } from './peer-probe.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const agent = agentStatusShape.parse({
  node: 'a',
  api: 'https://192.168.0.10:6443',
  podNetwork: true,
  overlay: 'vxlan',
  vxlanPort: 8472,
  vxlanDevice: 'fairlead.1',
  bridge: 'cni0',
  cniConfDir: '/etc/cni/net.d',
  healthAddress: '0.0.0.0:10256',
  missing: [],
  problems: [],
  peers: 1,
  pools: [],
  attachments: 0,
  nodes: [
    { name: 'a', uid: '1', createdAt: 1, podCidrs: ['10.244.1.0/24'], internalAddresses: ['192.168.0.21'] },
    { name: 'b', uid: '2', createdAt: 2, podCidrs: ['10.244.2.0/24'], internalAddresses: ['192.168.0.22'] },
  ],
  watches: [{ resource: 'nodes', state: 'watching', objects: 2, relists: 0, reconnects: 0, lastEventAt: now - 30_000 }],
  serviceAddresses: ['10.96.0.1'],
  idlePolicies: [],
})
const healthy: NodeFacts = {
  agent,
  agentFailure: undefined,
  families: [4],
  bridge: parseInterfaceName('cni0'),
  device: parseInterfaceName('fairlead.1'),
  sysctls: new Map([
    ['net/ipv4/ip_forward', '1'],
    ['net/netfilter/nf_conntrack_count', '7'],
    ['net/netfilter/nf_conntrack_max', '100'],
  ]),
  links: [],
  backend: 'nft',
  forwardChains: [
    {
      family: 4,
      backend: 'nft',
      lines: [
        '-P FORWARD DROP',
        '-A FORWARD -m comment --comment "fairlead forwarding" -j FAIRLEAD-FORWARD',
        '-A FORWARD -j DROP',
      ],
    },
  ],
  otherBackendRules: 0,
  otherBackendFailure: undefined,
  nft: { version: [1, 1, 3], tables: [], unread: new Map(), firewalls: [] },
  failures: [],
  cni: { directory: '/etc/cni/net.d', competing: [] },
  peers: [],
  now,
}

function found(facts: Partial<NodeFacts>): string[] {
  return examine({ ...healthy, ...facts }).flatMap(({ name, findings }) =>
    findings.map(({ problem, remedy }) => `${name}: ${problem} -> ${remedy}`),
  )
}

test('finds nothing on a healthy node, and names a symptom for each check', () => {
  expect(found({})).toEqual([])
  const checks = examine(healthy)
  expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length)
  expect(checks.filter(({ seenAs }) => seenAs === '')).toEqual([])
})

test('reports an iptables table that another program changed by nft', () => {
  const lines = [
    "# Table `filter' contains incompatible base-chains, use 'nft' tool to list them.",
    '-P FORWARD ACCEPT',
  ]
  expect(found({ forwardChains: [{ family: 4, backend: 'nft', lines }] })).toEqual([
    expect.stringContaining(
      "FORWARD: iptables-nft cannot write to table filter: Table `filter' contains incompatible base-chains, " +
        "use 'nft' tool to list them. -> nft list table ip filter shows",
    ),
  ])
})

test('reports a conntrack table before it is full', () => {
  const conntrack = (count: string) =>
    found({ sysctls: new Map([...healthy.sysctls, ['net/netfilter/nf_conntrack_count', count]]) })
  expect(conntrack('79')).toEqual([])
  expect(conntrack('80')).toEqual([
    'conntrack: 80 of 100 tracked connections are in use -> ' +
      'sysctl -w net.netfilter.nf_conntrack_max=200, and find out what opens them: conntrack -L',
  ])
})

test('reports watches that fail, are outdated or have read nothing', () => {
  const watch = (change: object) => found({ agent: { ...agent, watches: [{ ...agent.watches[0]!, ...change }] } })
  expect(watch({ state: 'waiting', lastError: 'connect ECONNREFUSED' })).toEqual([
    expect.stringContaining(
      'API server: nodes are not followed: what is known of them is 30 s old (connect ECONNREFUSED) -> ' +
        'see whether https://192.168.0.10:6443 answers',
    ),
  ])
  expect(watch({ lastEventAt: undefined, state: 'listing' })).toEqual([
    expect.stringMatching(/nothing has been read of them yet/),
  ])
  expect(watch({ lastEventAt: now - 3_600_000 })).toEqual([expect.stringMatching(/is 3600 s old/)])
})

test('splits the sentences of the agent into problem and remedy', () => {
  expect(
    found({ agent: { ...agent, missing: ['no podCIDR yet; assign one'], problems: ['no podCIDR yet; assign one'] } }),
  ).toEqual(['agent: no podCIDR yet -> assign one'])
})

test('reports a cluster IP in a pod network', () => {
  expect(found({ agent: { ...agent, serviceAddresses: [parseAddress('10.244.2.9')] } })).toEqual([
    expect.stringMatching(
      /^networks: cluster IP 10\.244\.2\.9 lies in 10\.244\.2\.0\/24, which belongs to the pods of node b/,
    ),
  ])
})

test('reports a block of cluster IPs that overlaps pods, and a cluster IP of no block', () => {
  const at = (...serviceCidrs: string[]) =>
    found({
      agent: {
        ...agent,
        serviceAddresses: ['10.244.2.9', '10.96.0.1'].map(parseAddress),
        serviceCidrs: serviceCidrs.map(parseCidr),
      },
    })
  expect(at('10.96.0.0/16', '10.244.0.0/16')).toEqual([
    expect.stringContaining(
      'networks: the block of cluster IPs 10.244.0.0/16 overlaps 10.244.1.0/24, ' +
        'which belongs to the pods of node a -> give Services another',
    ),
  ])
  expect(at('10.96.0.0/16')).toEqual([
    expect.stringMatching(/^networks: cluster IP 10\.244\.2\.9 lies in 10\.244\.2\.0\/24/),
  ])
})

test('reports a drop in the backend that the node does not use', () => {
  const forwardChains = [
    ...healthy.forwardChains,
    {
      family: 4 as const,
      backend: 'legacy' as const,
      lines: ['-P FORWARD DROP', '-A FORWARD -s 192.0.2.1/32 -j DROP'],
    },
  ]
  expect(found({ forwardChains })).toEqual([
    expect.stringMatching(/^FORWARD: FORWARD of iptables-legacy has `-P FORWARD DROP`/),
  ])
})

test('reports a policy that protects less than it seems to', () => {
  expect(
    found({ agent: { ...agent, idlePolicies: [{ policy: 'x/p', problem: 'it selects no pod', remedy: 'compare' }] } }),
  ).toEqual(['NetworkPolicies: it selects no pod -> compare'])
})

test('what stays changed in a pod fails the check, unless the pod or its configuration may mean it', () => {
  const podDrift = [
    { pod: 'shop/vpn', what: ['the default route via 10.244.1.1 is missing'], reason: 'own' as const },
    { pod: 'shop/web', what: ['eth0 is down', 'eth0 has MTU 1400 instead of 1450'], reason: 'unknown' as const },
  ]
  const podsOf = (drift: typeof podDrift): string =>
    formatChecks(examine({ ...healthy, agent: { ...agent, podDrift: drift } }).filter(({ name }) => name === 'pods'))
  expect(podsOf(podDrift)).toBe(`FAILED  pods  seen as: one pod of many that does not reach the network
        pod shop/web: eth0 is down, eth0 has MTU 1400 instead of 1450 (the API server does not say whether it may change its network)
        -> delete the pod, so that it is made anew, and look for what changed it`)
  expect(podsOf(podDrift.slice(0, 1))).toBe(
    'ok      pods  not as made: pod shop/vpn: the default route via 10.244.1.1 is missing (it may change its network: NET_ADMIN)',
  )
})

test('distinguishes faults of the tunnel by the counters of both ends', () => {
  const quiet = { received: 0, checksumErrors: 0 }
  const lost: PeerProbe = {
    node: 'b',
    address: parseAddress('192.168.0.22'),
    port: 10256,
    underlay: undefined,
    overlay: 'no answer',
    large: undefined,
    counted: undefined,
  }
  const findingsFor = (change: Partial<PeerProbe>) => found({ peers: [{ ...lost, ...change }] })
  expect(findingsFor({ counted: { here: quiet, there: quiet } })).toEqual([
    expect.stringMatching(/^overlay: .*do not reach b.*UDP 8472 from a is lost.* -> allow UDP 8472 from a to b/),
  ])
  expect(findingsFor({ counted: { here: quiet, there: { ...quiet, received: 3 } } })).toEqual([
    expect.stringMatching(/^overlay: .*its answers are lost: UDP 8472 from b to a.* -> allow UDP 8472 from b to a/),
  ])
  expect(findingsFor({ counted: { here: { ...quiet, received: 9 }, there: { ...quiet, received: 3 } } })).toEqual([
    expect.stringMatching(/^overlay: b .*does not answer through the tunnel.*both ways/),
  ])
  expect(findingsFor({ counted: { here: quiet, there: { received: 3, checksumErrors: 3 } } })).toEqual([
    expect.stringMatching(
      /^checksum offload: .*card of a miscalculates.* -> on a: ethtool -K fairlead\.1 tx-checksum-ip-generic off/,
    ),
  ])
  expect(findingsFor({ counted: { here: { received: 3, checksumErrors: 2 }, there: quiet } })).toEqual([
    expect.stringMatching(/^checksum offload: .*card of b miscalculates.* -> on b: ethtool/),
  ])
  expect(findingsFor({ overlay: undefined, large: 'no answer' })).toEqual([
    expect.stringMatching(/^MTU: small packets reach b/),
  ])
  expect(findingsFor({ underlay: 'no answer' })).toEqual([
    expect.stringMatching(/^node to node: the agent of b does not answer at 192\.168\.0\.22:10256/),
  ])
})

test('skips the checks that need the agent when it does not answer', () => {
  const facts = { ...healthy, agent: undefined, agentFailure: 'connect ENOENT' }
  const checks = examine(facts)
  expect(checks.filter(({ findings }) => findings.length > 0).map(({ name }) => name)).toEqual(['agent'])
  expect(checks.filter(({ skipped }) => skipped !== undefined).map(({ name }) => name)).toEqual([
    'API server',
    'nodes',
    'networks',
    'node to node',
    'overlay',
    'checksum offload',
    'MTU',
    'NetworkPolicies',
    'pods',
  ])
  expect(formatChecks(checks)).toMatch(
    /^FAILED {2}agent .*seen as: .*\n {8}the agent of this node does not answer \(connect ENOENT\)\n {8}-> start it/,
  )
})

test('finds drops of nftables that apply to every packet', () => {
  const chain = { name: 'fw', hook: 'forward', policy: 'accept' }
  const rules = (...expr: object[]) =>
    dropsOf([{ chain }, { rule: { chain: 'fw', expr } }, { rule: { chain: 'elsewhere', expr: [{ drop: null }] } }])
  expect(rules({ counter: {} }, { reject: {} })).toEqual(['a rule of chain fw'])
  expect(rules({ match: {} }, { drop: null })).toEqual([])
  expect(dropsOf([{ chain: { ...chain, policy: 'drop' } }])).toEqual(['policy of chain fw'])
})
