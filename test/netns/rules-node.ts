// A node with two pods on its bridge, a pod of another node and an outside client behind its uplink: where the pod
// rules work.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { canonicalAddress } from '../../src/net/address.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import type { Attachment, PortMapping } from '../../src/pods/attachment.ts'
import { attachmentOf, dualSettings } from '../../src/pods/rules/rule-inputs.ts'
import { PodRules, type RulesSettings } from '../../src/pods/rules/rules.ts'
import { until } from './agent-machine.ts'
import { type ScratchNamespace, scratchNamespace, testLog, wire } from './scratch.ts'

export interface RulesNode extends AsyncDisposable {
  readonly node: ScratchNamespace
  /** 10.244.1.5 and 10.244.1.6. */
  readonly pods: readonly [ScratchNamespace, ScratchNamespace]
  /** 192.168.0.9, which knows no route to pods; and 10.244.2.7, the pod of another node, in the same namespace. */
  readonly outside: ScratchNamespace
  readonly rules: PodRules
  /** Answers each connection to the port with the client's address; `host` binds it. */
  serve(
    where: ScratchNamespace,
    port: number,
    options?: { protocol?: 'TCP' | 'UDP'; host?: string; family?: 4 | 6 },
  ): Promise<void>
}

export const nodeAddress = '192.168.0.21'
export const outsideAddress = '192.168.0.9'
export const remotePod = '10.244.2.7'
export const settings: RulesSettings = { ...dualSettings, nonMasqueradeCidrs: [] }

export async function rulesNode(iptables: 'nft' | 'legacy'): Promise<RulesNode> {
  await using made = new AsyncDisposableStack()
  const node = made.use(await scratchNamespace({ iptables }))
  const outside = made.use(await scratchNamespace())
  const pods = [made.use(await scratchNamespace()), made.use(await scratchNamespace())] as const
  await wire(
    { namespace: node, device: 'eth0', address: `${nodeAddress}/24` },
    { namespace: outside, device: 'eth0', address: `${outsideAddress}/24` },
  )
  await outside.run('ip', ['addr', 'add', `${remotePod}/32`, 'dev', 'lo'])
  await node.run('ip', ['route', 'add', '10.244.2.0/24', 'via', outsideAddress])
  // The other node's pod has a way back, as by the overlay; the outside client has none.
  await outside.run('ip', ['route', 'add', '10.244.1.0/24', 'via', nodeAddress, 'table', '7'])
  await outside.run('ip', ['rule', 'add', 'from', remotePod, 'lookup', '7'])
  await node.run('ip', ['addr', 'add', 'fd00::21/64', 'dev', 'eth0', 'nodad'])
  await outside.run('ip', ['addr', 'add', 'fd00::9/64', 'dev', 'eth0', 'nodad'])

  await node.run('ip', ['-batch', '-'], {
    input: [
      'link add cni0 address 0e:58:0a:f4:01:01 type bridge',
      'addr add 10.244.1.1/24 dev cni0',
      'addr add fd00:244:1::1/64 dev cni0 nodad',
      'link set cni0 up',
      '',
    ].join('\n'),
  })
  for (const [i, pod] of pods.entries()) {
    await wire(
      { namespace: node, device: `pod${5 + i}` },
      { namespace: pod, device: 'eth0', address: `10.244.1.${5 + i}/24` },
    )
    await node.run('ip', ['-batch', '-'], {
      input: `link set pod${5 + i} master cni0\nlink set pod${5 + i} type bridge_slave hairpin on\n`,
    })
    await pod.run('ip', ['-batch', '-'], {
      input: [
        `addr add fd00:244:1::${5 + i}/64 dev eth0 nodad`,
        'route add default via 10.244.1.1',
        'route add default via fd00:244:1::1 dev eth0',
        '',
      ].join('\n'),
    })
  }
  const sysctls = [
    'net/ipv4/ip_forward',
    'net/ipv6/conf/all/forwarding',
    'net/bridge/bridge-nf-call-iptables',
    'net/bridge/bridge-nf-call-ip6tables',
    'net/ipv4/conf/cni0/route_localnet',
  ]
  for (const key of sysctls) await node.kernel.writeSysctl(key, '1')
  await node.kernel.writeSysctl('net/ipv4/conf/cni0/rp_filter', '2')

  const rules = new PodRules({ kernel: node.kernel, iptables: node.iptables, log: testLog, families: [4, 6] })
  rules.configure(settings)
  const kept = made.move()
  return {
    node,
    pods,
    outside,
    rules,
    serve: async (where, port, { protocol = 'TCP', host, family = 4 } = {}) => {
      const bind = host === undefined ? '' : `,bind=${host}`
      const address =
        protocol === 'TCP'
          ? `TCP${family}-LISTEN:${port},fork,reuseaddr${bind}`
          : `UDP${family}-RECVFROM:${port},fork,reuseaddr${bind}`
      const server = spawn(
        'nsenter',
        [`--net=${where.path}`, 'socat', '-t5', address, 'SYSTEM:read word; echo $SOCAT_PEERADDR'],
        { stdio: 'ignore', detached: true },
      )
      kept.defer(() => end(server))
      await listening(where, port)
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

/** The address that the server saw; undefined where nothing answers. */
export async function seenFrom(
  client: ScratchNamespace,
  address: string,
  options: { source?: string; protocol?: 'TCP' | 'UDP' } = {},
): Promise<string | undefined> {
  const { source, protocol = 'TCP' } = options
  const bind = source === undefined ? '' : `,bind=${source}`
  const family = address.startsWith('[') ? 6 : 4
  // On a new bridge the first neighbour solicitation is lost; the next one comes after a second.
  const timeout = protocol === 'UDP' ? '' : `,connect-timeout=${family === 4 ? 2 : 5}`
  const target = `${protocol}${family}:${address}${timeout}${bind}`
  // A UDP server answers to the word, when it has read it; a TCP server that left it unread would reset the connection.
  const input = protocol === 'UDP' ? 'hello\n' : ''
  const said = await client.run('socat', ['-T3', '-t3', '-', target], { input }).catch(() => '')
  return canonicalAddress(said.trim().replaceAll(/[[\]]/g, ''))
}

/** Makes the machine send 127.0.0.1 to the node and take answers from it: what an attacker's would do. */
export async function forgeLoopback(attacker: ScratchNamespace, gateway: string): Promise<void> {
  await attacker.kernel.writeSysctl('net/ipv4/conf/eth0/route_localnet', '1')
  await attacker.run('ip', ['-batch', '-'], {
    input: `addr flush dev lo scope host\nroute add 127.0.0.1 via ${gateway} dev eth0\n`,
  })
}

/** The pod at 10.244.1.N with these host ports. */
export function podAt(n: 5 | 6, portMappings: readonly PortMapping[]): Attachment {
  return attachmentOf(n, portMappings, { hostInterface: parseInterfaceName(`pod${n}`) })
}

/** All rules of both families, counters left out, tables in the order of their names. */
export async function savedRules(node: ScratchNamespace, iptables: 'nft' | 'legacy'): Promise<string> {
  const tables = ['filter', 'mangle', 'nat']
  const texts: string[] = []
  for (const program of ['iptables', 'ip6tables'])
    for (const table of tables)
      texts.push(`${program} ${table}\n${await node.run(`${program}-${iptables}`, ['-t', table, '-S'])}`)
  return texts.join('\n')
}

async function listening(where: ScratchNamespace, port: number): Promise<void> {
  await until(
    async () => (await where.run('ss', ['-Hlntu', `sport = :${port}`])).trim() !== '',
    `somebody to listen on port ${port}`,
  )
}

async function end(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return
  const gone = once(server, 'exit')
  process.kill(-server.pid, 'SIGKILL')
  await gone
}
