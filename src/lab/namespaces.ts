// The members' network namespaces and the veth pairs between them. The switch is a bridge in a namespace of its own
// with one port for each member:
//
//   flab-lab-node1 [eth0 192.168.0.21] --veth-- [node1 \
//   flab-lab-node2 [eth0 192.168.0.22] --veth-- [node2  br0 192.168.0.1] flab-lab-net
//   flab-lab-outside [eth0 192.168.0.100] ----- [outside /
//
// The veth pairs are created inside the switch's namespace, so that no interface ever appears on the machine itself.
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

/** Returns the members whose namespaces exist, in whatever state. */
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

/** Creates a member's namespace and connects it to the switch. */
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
 * Turns off sending and accepting ICMP redirects, as on hardened hosts and routers. The outside client routes load
 * balancer addresses to nodes that do not have them. If no endpoint takes such a packet, the node would send a
 * redirect, and therefore no REJECT error: the kernel limits both together for each peer (inet_peer.rate_last).
 */
async function turnOffRedirects(lab: Lab, member: Member): Promise<void> {
  const settings = ['all', 'eth0'].flatMap((device) =>
    ['accept', 'send'].map((what) => `echo 0 >/proc/sys/net/ipv4/conf/${device}/${what}_redirects`),
  )
  await execa('nsenter', [`--net=${namespacePath(lab, member)}`, 'sh', '-ec', settings.join('; ')])
}

/** Deletes the member's veth pair at once. With the namespace the kernel deletes it too, but only after a while. */
export async function unplug(lab: Lab, member: NodeName): Promise<void> {
  if (existsSync(namespacePath(lab, 'net'))) await ipIn(lab, 'net', [`link delete ${member}`]).catch(() => undefined)
}

/** Unmounts the namespace's name. No process may be left in the namespace. */
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
