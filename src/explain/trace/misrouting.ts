// Routes that are not there, or that lead a pod's packets elsewhere than to the pod's node.
import type { RouteAnswer } from '../../kernel/route-lookup.ts'
import { addressToBigInt } from '../../net/address.ts'
import { cidrContains, formatCidr, parseCidr } from '../../net/cidr.ts'
import { type ClusterNode, type Flow, type Here, nodeOfPod } from './flow.ts'
import type { Broken, Hop } from './hop.ts'
import { ask, type Walk } from './question.ts'

type Route = Exclude<RouteAnswer, { type: 'none' }>

/** What the kernel's refusal means. */
export function* noRoute(
  here: Here,
  flow: Flow,
  { reason, command }: Extract<RouteAnswer, { type: 'none' }>,
): Walk<Hop> {
  const broken = yield* refusal(here, flow, reason)
  return { at: 'route', object: `no route to ${flow.destination}: ${reason}`, command, broken }
}

function* refusal(here: Here, flow: Flow, reason: string): Walk<Broken> {
  if (flow.device !== undefined) {
    const forwarding = flow.family === 4 ? 'net/ipv4/ip_forward' : 'net/ipv6/conf/all/forwarding'
    if ((yield* ask('sysctl', { key: forwarding })) === '0')
      return {
        problem: 'this node forwards nothing',
        remedy: `sysctl -w ${forwarding.replaceAll('/', '.')}=1, and find in /etc/sysctl.d what sets it back`,
      }
    if (reason === 'Invalid cross-device link')
      return {
        problem: `the reverse path filter drops it: ${flow.source} is not to come in by ${flow.device}`,
        remedy: `sysctl -w net.ipv4.conf.${flow.device}.rp_filter=2, and see that the route back to ${flow.source} is there: ip route get ${flow.source}`,
      }
  }
  return (
    (yield* lost(here, flow, `no route leads to ${flow.destination} (${reason})`)) ?? {
      problem: `no route leads to ${flow.destination}: ${reason}`,
      remedy: 'give the machine a route to it, such as a default route, in its own network configuration',
    }
  )
}

/** Where the route leads a packet for a pod past it. */
export function* findMisrouting(here: Here, flow: Flow, route: Route): Walk<Broken | undefined> {
  const peer = nodeOfPod(here, flow.destination)
  const isRight = peer === undefined ? !route.line.startsWith('default ') : leadsTo(here, peer, route)
  return isRight
    ? undefined
    : yield* lost(here, flow, `what is for ${flow.destination} goes by ${route.line.split(' proto ')[0]}`)
}

function leadsTo(here: Here, peer: ClusterNode, { device, gateway }: Route): boolean {
  if (peer.name === here.node) return device === here.bridge
  return device === here.vxlanDevice || (gateway !== undefined && peer.internalAddresses.includes(gateway))
}

/** Undefined where the destination is no pod's, as far as anybody knows. */
function* lost(here: Here, flow: Flow, what: string): Walk<Broken | undefined> {
  const peer = nodeOfPod(here, flow.destination)
  const cidr = peer?.podCidrs.find((each) => cidrContains(each, flow.destination))
  const agent = 'the agent puts it back within 15 s while it runs (fairlead status)'
  if (peer !== undefined && cidr !== undefined) {
    const tunnelled = (yield* ask('links', {})).some(({ name }) => name === here.vxlanDevice)
    const own = `dev ${here.bridge}`
    const other = tunnelled
      ? `via ${cidr.network} dev ${here.vxlanDevice} onlink proto 98`
      : `via ${peer.internalAddresses[0] ?? 'ITS ADDRESS'} proto 98`
    return {
      problem: `the route to ${formatCidr(cidr)}, the pods of ${peer.name}, is missing: ${what}`,
      remedy: `${agent}; by hand: ip route replace ${formatCidr(cidr)} ${peer.name === here.node ? own : other}`,
    }
  }
  // Without an agent that knows the nodes, the kernel has traces of them: the rules for all pod networks, and the
  // addresses of their tunnels.
  const forward =
    (yield* ask('chains', { family: flow.family, table: 'filter', names: ['FAIRLEAD-FORWARD'] })).get(
      'FAIRLEAD-FORWARD',
    ) ?? []
  const networks = forward.flatMap((rule) => / -d (\S+) .*-j ACCEPT/.exec(rule)?.[1] ?? [])
  const network = networks.find((each) => cidrContains(parseCidr(each), flow.destination))
  if (network === undefined) return undefined
  const tunnels = (yield* ask('neighbours', { family: flow.family, device: here.vxlanDevice })) ?? []
  const nearest = tunnels
    .filter(({ address }) => addressToBigInt(address) <= addressToBigInt(flow.destination))
    .toSorted((a, b) => (addressToBigInt(a.address) < addressToBigInt(b.address) ? 1 : -1))[0]
  const via = nearest === undefined ? '' : `, most likely by its tunnel's address ${nearest.address}`
  return {
    problem: `the route to the node that has ${flow.destination} is missing: ${what}, though ${network} is the pods' network`,
    remedy: `${agent}; by hand, a route to that node's pods${via}: ip route replace CIDR via ${nearest?.address ?? 'GATEWAY'} dev ${here.vxlanDevice} onlink proto 98`,
  }
}
