// Missing routes, and routes that send a pod's packets elsewhere than to the node of the pod.
import type { RouteAnswer } from '../../kernel/route-lookup.ts'
import { type Address, addressToBigInt } from '../../net/address.ts'
import { type Cidr, cidrContains, formatCidr, parseCidr } from '../../net/cidr.ts'
import { type ClusterNode, type Flow, type LocalNode, nodeOfPod } from './flow.ts'
import { agentRepairs, type Broken, type Hop } from './hop.ts'
import { ask, type TraceWalk } from './question.ts'

type Route = Exclude<RouteAnswer, { type: 'none' }>

/** Explains why the kernel has no route for the packet. */
export function* noRoute(
  local: LocalNode,
  flow: Flow,
  { reason, command }: Extract<RouteAnswer, { type: 'none' }>,
): TraceWalk<Hop> {
  const broken = yield* explainNoRoute(local, flow, reason)
  return { at: 'route', object: `no route to ${flow.destination}: ${reason}`, command, broken }
}

function* explainNoRoute(local: LocalNode, flow: Flow, reason: string): TraceWalk<Broken> {
  const { device, source, destination } = flow
  if (device !== undefined) {
    const forwarding = flow.family === 4 ? 'net/ipv4/ip_forward' : 'net/ipv6/conf/all/forwarding'
    if ((yield* ask('sysctl', { key: forwarding })) === '0')
      return {
        problem: 'this node forwards nothing',
        remedy: `sysctl -w ${forwarding.replaceAll('/', '.')}=1, and find in /etc/sysctl.d what sets it back`,
      }
    if (reason === 'Invalid cross-device link')
      return {
        problem: `the reverse path filter drops it: ${source} must not come in by ${device}`,
        remedy:
          `sysctl -w net.ipv4.conf.${device}.rp_filter=2, ` +
          `and see that the route back to ${source} is there: ip route get ${source}`,
      }
  }
  return (
    (yield* missingPodRoute(local, flow, `no route leads to ${destination} (${reason})`)) ?? {
      problem: `no route leads to ${destination}: ${reason}`,
      remedy: 'give the machine a route to it, such as a default route, in its own network configuration',
    }
  )
}

/** Finds out whether the route sends a packet for a pod elsewhere than to the node of the pod. */
export function* findMisrouting(local: LocalNode, flow: Flow, route: Route): TraceWalk<Broken | undefined> {
  const peer = nodeOfPod(local, flow.destination)
  const isRight = peer === undefined ? !route.line.startsWith('default ') : leadsTo(local, peer, route)
  if (isRight) return undefined
  const used = route.line.split(' proto ')[0]
  return yield* missingPodRoute(local, flow, `packets for ${flow.destination} take ${used}`)
}

function leadsTo(local: LocalNode, peer: ClusterNode, { device, gateway }: Route): boolean {
  if (peer.name === local.node) return device === local.bridge
  return device === local.vxlanDevice || (gateway !== undefined && peer.internalAddresses.includes(gateway))
}

/**
 * Builds the problem of a missing route to pods.
 * @param effect what happens without the route.
 * @returns undefined when the destination is not known to be a pod's.
 */
function* missingPodRoute(local: LocalNode, flow: Flow, effect: string): TraceWalk<Broken | undefined> {
  const peer = nodeOfPod(local, flow.destination)
  const cidr = peer?.podCidrs.find((each) => cidrContains(each, flow.destination))
  if (peer === undefined || cidr === undefined) return yield* missingPodRouteWithoutAgent(local, flow, effect)
  return {
    problem: `the route to ${formatCidr(cidr)}, the pods of ${peer.name}, is missing: ${effect}`,
    remedy: `${agentRepairs}; by hand: ip route replace ${formatCidr(cidr)} ${yield* nextHopTo(local, peer, cidr)}`,
  }
}

function* nextHopTo(local: LocalNode, peer: ClusterNode, cidr: Cidr): TraceWalk<string> {
  if (peer.name === local.node) return `dev ${local.bridge}`
  const tunnelled = (yield* ask('links', {})).some(({ name }) => name === local.vxlanDevice)
  return tunnelled
    ? `via ${cidr.network} dev ${local.vxlanDevice} onlink proto 98`
    : `via ${peer.internalAddresses[0] ?? 'ITS ADDRESS'} proto 98`
}

/**
 * Recognizes pods when the agent does not answer: the kernel has rules for all pod networks, and neighbour entries for
 * the tunnel addresses of all nodes.
 */
function* missingPodRouteWithoutAgent(
  local: LocalNode,
  { family, destination }: Flow,
  effect: string,
): TraceWalk<Broken | undefined> {
  const chains = yield* ask('chains', { family, table: 'filter', names: ['FAIRLEAD-FORWARD'] })
  const rules = chains.get('FAIRLEAD-FORWARD') ?? []
  const networks = rules.flatMap((rule) => / -d (\S+) .*-j ACCEPT/.exec(rule)?.[1] ?? [])
  const network = networks.find((each) => cidrContains(parseCidr(each), destination))
  if (network === undefined) return undefined
  const tunnels = (yield* ask('neighbours', { family, device: local.vxlanDevice })) ?? []
  const nearest = closestBelow(
    destination,
    tunnels.map(({ address }) => address),
  )
  const via = nearest === undefined ? '' : `, most likely by its tunnel's address ${nearest}`
  const route = `CIDR via ${nearest ?? 'GATEWAY'} dev ${local.vxlanDevice} onlink proto 98`
  return {
    problem:
      `the route to the node that has ${destination} is missing: ${effect}, ` +
      `though ${network} is the pods' network`,
    remedy: `${agentRepairs}; by hand, a route to that node's pods${via}: ip route replace ${route}`,
  }
}

/** A node's tunnel address is the first address of its pod CIDR, so it is the closest one below a pod's. */
function closestBelow(destination: Address, addresses: readonly Address[]): Address | undefined {
  return addresses
    .filter((address) => addressToBigInt(address) <= addressToBigInt(destination))
    .toSorted((a, b) => (addressToBigInt(a) < addressToBigInt(b) ? 1 : -1))[0]
}
