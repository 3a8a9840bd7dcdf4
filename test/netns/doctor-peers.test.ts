// The doctor between two nodes with a tunnel: what is lost, cut or damaged on the way is found by the check that it is
// about, with its remedy. The damage lies on the underlay and in what a driver would do, where no agent puts it right.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AgentStatusText, agentStatusShape } from '../../src/agent/status-shape.ts'
import { examineChecksums, examineMtu, examineOverlay, examineUnderlay } from '../../src/explain/checks/peers.ts'
import { conntrackKeys, examineConntrack } from '../../src/explain/checks/sysctls.ts'
import type { NodeFacts } from '../../src/explain/node-facts.ts'
import type { PeerProbe } from '../../src/explain/peer-probe.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace, wire } from './scratch.ts'

const probeProcess = join(import.meta.dirname, 'probe-process.ts')
const address = (n: number): string => `192.168.77.${n}`
const status: AgentStatusText = {
  node: 'n1',
  api: '',
  podNetwork: true,
  overlay: 'vxlan',
  vxlanPort: 8472,
  vxlanDevice: 'fairlead.1',
  bridge: 'cni0',
  cniConfDir: '',
  healthAddress: '0.0.0.0:10256',
  missing: [],
  problems: [],
  peers: 1,
  pools: [],
  attachments: 0,
  watches: [],
  serviceAddresses: [],
  idlePolicies: [],
  nodes: [1, 2].map((n) => ({
    name: `n${n}`,
    uid: String(n),
    createdAt: n,
    podCidrs: [`10.9.${n}.0/24`],
    internalAddresses: [address(n)],
  })),
}

let nodes: readonly [ScratchNamespace, ScratchNamespace]
let answerer: ChildProcess

async function found(): Promise<string[]> {
  // Two probes that time out take 8 s, and a busy machine its own time.
  const { stdout } = await execa('nsenter', [
    `--net=${nodes[0].path}`,
    process.execPath,
    probeProcess,
    'ask',
    JSON.stringify(status),
  ])
  const peers = JSON.parse(stdout) as PeerProbe[]
  expect(peers).toHaveLength(1)
  const agent = agentStatusShape.parse(status)
  const facts = {
    agent,
    peers,
    device: agent.vxlanDevice,
    links: await nodes[0].kernel.links(),
  } as unknown as NodeFacts
  return [examineUnderlay, examineOverlay, examineChecksums, examineMtu]
    .flatMap((check) => check(facts))
    .flatMap(({ name, findings }) => findings.map(({ problem, remedy }) => `${name}: ${problem} -> ${remedy}`))
}

/** The tunnel as the overlay room makes it, and the gateway of the pods. */
async function tunnel(node: ScratchNamespace, own: number, peer: number): Promise<void> {
  const mac = (n: number): string => `02:58:0a:09:0${n}:00`
  // A virtual wire would carry segments uncut, and without their checksums.
  const script = `
ethtool -K uplink tx off >/dev/null
ip link add fairlead.1 address ${mac(own)} type vxlan id 1 dstport 8472 local ${address(own)} dev uplink nolearning
ip addr add 10.9.${own}.0/32 dev fairlead.1
ip addr add 10.9.${own}.1/32 dev lo
ip link set fairlead.1 up
ip neigh replace 10.9.${peer}.0 lladdr ${mac(peer)} dev fairlead.1 nud permanent
bridge fdb replace ${mac(peer)} dev fairlead.1 dst ${address(peer)} self permanent
ip route replace 10.9.${peer}.0/24 via 10.9.${peer}.0 dev fairlead.1 onlink`
  await node.run('sh', ['-ec', script])
}

const dropped = (match: string): { how: string; undo: string } => ({
  how: `iptables -t raw -A PREROUTING ${match} -j DROP`,
  undo: 'iptables -t raw -F PREROUTING',
})
const damages: readonly { breaks: string; on: 0 | 1; how: string; undo: string; says: RegExp }[] = [
  {
    breaks: 'the tunnel to the peer',
    on: 1,
    ...dropped('-p udp --dport 8472'),
    says: /^overlay: packets in the tunnel do not reach n2 at 192\.168\.77\.2: UDP 8472 from n1 is lost.* -> allow UDP 8472 from n1 to n2/,
  },
  {
    breaks: 'the tunnel from the peer',
    on: 0,
    ...dropped('-p udp --dport 8472'),
    says: /^overlay: packets in the tunnel reach n2 at 192\.168\.77\.2, and its answers are lost: UDP 8472 from n2 to n1.* -> allow UDP 8472 from n2 to n1/,
  },
  {
    breaks: 'large packets',
    on: 1,
    ...dropped('-p udp --dport 8472 -m length --length 1300:65535'),
    says: /^MTU: small packets reach n2 and those of 1450 bytes do not.* -> .*set mtu/,
  },
  {
    breaks: 'the way to the agent',
    on: 1,
    ...dropped(`-s ${address(1)}`),
    says: /^node to node: the agent of n2 does not answer at 192\.168\.77\.2:10256.* -> see whether n2 is up/,
  },
  {
    // The acknowledgement number inside of the tunnel changes behind the back of its checksum, which is what a card
    // comes to that miscalculates.
    breaks: 'checksums',
    on: 1,
    how: "nft 'table netdev breaks { chain in { type filter hook ingress device uplink priority 0; udp dport 8472 udp checksum set 0 @th,464,32 set 1; }; }'",
    undo: 'nft delete table netdev breaks',
    says: /^checksum offload: .*the network card of n1 miscalculates.* -> on n1: ethtool -K fairlead\.1 tx-checksum-ip-generic off/,
  },
]

describeKernel('the doctor between nodes', () => {
  beforeAll(async () => {
    nodes = [await scratchNamespace(), await scratchNamespace()]
    await wire(
      { namespace: nodes[0], device: 'uplink', address: `${address(1)}/24` },
      { namespace: nodes[1], device: 'uplink', address: `${address(2)}/24` },
    )
    await tunnel(nodes[0], 1, 2)
    await tunnel(nodes[1], 2, 1)
    answerer = spawn('nsenter', [`--net=${nodes[1].path}`, process.execPath, probeProcess, 'answer'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(answerer.stdout!, 'data')
  })
  afterAll(async () => {
    answerer.kill()
    for (const node of nodes) await node[Symbol.asyncDispose]()
  })

  test('counts the connections of its own namespace, and finds a table of them that fills up', async () => {
    const [, node] = nodes
    // One rule that asks for it, and the kernel tracks.
    await node.run('iptables', ['-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'NEW'])
    await nodes[0].run('bash', ['-c', `for port in $(seq 9001 9060); do echo >/dev/udp/${address(2)}/$port; done`])
    const read = async (key: string): Promise<readonly [string, string | undefined]> => [
      key,
      (await node.kernel.readSysctl(key))?.trim(),
    ]
    const sysctls = new Map(await Promise.all(Object.values(conntrackKeys).map(read)))
    const max = Number(sysctls.get(conntrackKeys.max))
    expect(examineConntrack({ sysctls })).toMatchObject({ findings: [] })
    expect(examineConntrack({ sysctls }).skipped).toBeUndefined()
    expect(examineConntrack({ sysctls }, 60 / max).findings).toEqual([
      {
        problem: expect.stringMatching(new RegExp(`^\\d\\d of ${max} tracked connections are in use$`)) as string,
        remedy: expect.stringContaining(`sysctl -w net.netfilter.nf_conntrack_max=${max * 2}`) as string,
      },
    ])
  })

  test('finds nothing between healthy ones', async () => {
    expect(await found()).toEqual([])
  })

  test.each(damages)('finds what breaks $breaks', async ({ on, how, undo, says }) => {
    await nodes[on].run('sh', ['-ec', how])
    try {
      expect(await found()).toEqual([expect.stringMatching(says)])
    } finally {
      await nodes[on].run('sh', ['-ec', undo])
    }
    expect(await found()).toEqual([])
  })
})
