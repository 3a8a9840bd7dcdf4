// The members' network namespaces and the wires between them. The switch is a bridge in a namespace of its own; each
// member has one port there:
//
//   flab-lab-node1 [eth0 192.168.0.21] --veth-- [node1 \
//   flab-lab-node2 [eth0 192.168.0.22] --veth-- [node2  br0 192.168.0.1] flab-lab-net
//   flab-lab-outside [eth0 192.168.0.100] ----- [outside /
//
// Wires are made from inside the switch's namespace, so that no interface ever shows up among the machine's own.
import { existsSync, readdirSync } from 'node:fs'
import { execa } from 'execa'
import {
  addressOf,
  type Lab,
  type Member,
  memberOf,
  namespaceOf,
  namespacePath,
  type NodeName,
  underlay,
} from './layout.ts'

const bridge = 'br0'

/** The members whose namespaces exist, whatever state they are in. */
export function membersOf(lab: Lab): Member[] {
  if (!existsSync('/run/netns')) return []
  return readdirSync('/run/netns')
    .flatMap((name) => memberOf(lab, name) ?? [])
    .toSorted(byName)
}

export async function createSwitch(lab: Lab): Promise<void> {
  await ip(['netns', 'add', namespaceOf(lab, 'net')])
  await ipIn(lab, 'net', [
    'link set lo up',
    `link add ${bridge} type bridge`,
    `address add ${underlay.gateway}/${underlay.prefix} dev ${bridge}`,
    `link set ${bridge} up`,
  ])
}

/** Makes the member's namespace and plugs it into the switch. */
export async function createMember(lab: Lab, member: Exclude<Member, 'net'>): Promise<void> {
  const namespace = namespaceOf(lab, member)
  await ip(['netns', 'add', namespace])
  await ipIn(lab, 'net', [
    `link add ${member} type veth peer name eth0 netns ${namespace}`,
    `link set ${member} master ${bridge} up`,
  ])
  await ipIn(lab, member, [
    'link set lo up',
    `address add ${addressOf(member)}/${underlay.prefix} dev eth0`,
    'link set eth0 up',
    `route add default via ${underlay.gateway}`,
  ])
  await turnOffRedirects(lab, member)
}

/**
 * Neither sends ICMP redirects nor heeds them, as hardened hosts and routers do. A load balancer's address is routed to
 * nodes that do not have it: where such a packet is not sent on to an endpoint, the node would tell the client that the
 * address is its neighbour, and for that redirect it would hold back the refusal that the rules send (they share the
 * kernel's allowance of ICMP per peer, inet_peer.rate_last).
 */
async function turnOffRedirects(lab: Lab, member: Member): Promise<void> {
  const settings = ['all', 'eth0'].flatMap((device) =>
    ['accept', 'send'].map((what) => `echo 0 >/proc/sys/net/ipv4/conf/${device}/${what}_redirects`),
  )
  await execa('nsenter', [`--net=${namespacePath(lab, member)}`, 'sh', '-ec', settings.join('; ')])
}

/** Takes the member's wire away at once. With its namespace the kernel does so too, but only after a while. */
export async function unplug(lab: Lab, member: NodeName): Promise<void> {
  if (existsSync(namespacePath(lab, 'net'))) await ipIn(lab, 'net', [`link delete ${member}`]).catch(() => undefined)
}

/** Unbinds the namespace's name. No process may be left in it. */
export async function removeNamespace(lab: Lab, member: Member): Promise<void> {
  if (existsSync(namespacePath(lab, member))) await ip(['netns', 'delete', namespaceOf(lab, member)])
}

async function ipIn(lab: Lab, member: Member, lines: readonly string[]): Promise<void> {
  await ip(['-n', namespaceOf(lab, member), '-batch', '-'], lines.join('\n'))
}

async function ip(args: readonly string[], input = ''): Promise<void> {
  const { failed, stderr, shortMessage } = await execa('ip', args, { input, env: { LC_ALL: 'C' }, reject: false })
  if (failed)
    throw new Error(
      `ip ${args.join(' ')}: ${stderr.replaceAll('\n', '; ') || shortMessage} (${input.replaceAll('\n', '; ')})`,
    )
}

function byName(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
