// From this node to another machine: through the tunnel or by a direct route to another node's pods, or to a next hop
// outside the cluster.
import { type Address, familyOf } from '../../net/address.ts'
import { cidrContains, nthAddress } from '../../net/cidr.ts'
import { macOf } from '../../net/mac.ts'
import type { ClusterNode, Flow, LocalNode } from './flow.ts'
import { agentRepairs, type Hop, isBroken } from './hop.ts'
import { remoteCommand, walkRemotePolicies } from './policies.ts'
import { ask, type TraceWalk } from './question.ts'

/**
 * Walks through the VXLAN tunnel: the neighbour entry and the FDB entry of the other node's VTEP, then the underlay.
 * @param gateway the gateway of the route, which is the address of the other node's VTEP.
 */
export function* walkTunnel(
  local: LocalNode,
  flow: Flow,
  gateway: Address,
  peer: ClusterNode | undefined,
): TraceWalk<Hop[]> {
  const { vxlanDevice: device } = local
  const neighbour = (yield* ask('neighbours', { family: flow.family, device }))?.find(
    ({ address }) => address === gateway,
  )
  const podNetwork = peer?.podCidrs.find((cidr) => cidr.family === 4)?.network
  const vtep = podNetwork ?? (familyOf(gateway) === 4 ? gateway : undefined)
  const mac = vtep === undefined ? neighbour?.mac : macOf('vtep', vtep)
  const command = `ip neighbour show ${gateway} dev ${device}`
  if (neighbour?.mac === undefined || (mac !== undefined && neighbour.mac !== mac)) {
    const owner = `${gateway}, the VTEP of ${peer?.name ?? 'its node'}`
    const problem =
      neighbour?.mac === undefined
        ? `${device} has no neighbour entry for ${owner}`
        : `${device} has ${neighbour.mac} for ${owner}, which has ${mac}`
    const repair = `ip neighbour replace ${gateway} lladdr ${mac ?? 'MAC'} dev ${device} nud permanent`
    return [
      {
        at: device,
        object: `no neighbour ${gateway}`,
        command,
        broken: { problem: `${problem}: packets stop here`, remedy: `${agentRepairs}; by hand: ${repair}` },
      },
    ]
  }
  const hop: Hop = {
    at: device,
    object: `${gateway} lladdr ${neighbour.mac}${neighbour.permanent ? ' PERMANENT' : ''}`,
    command,
  }
  const remote = (yield* ask('fdb', { device }))?.find(
    (entry) => entry.mac === neighbour.mac && entry.destination !== undefined,
  )?.destination
  const entry = {
    at: device,
    object: remote === undefined ? `no FDB entry ${neighbour.mac}` : `${neighbour.mac} dst ${remote} self permanent`,
    command: `bridge fdb show dev ${device}`,
  }
  const nodeAddresses = peer?.internalAddresses.map(String) ?? []
  if (remote !== undefined && (nodeAddresses.length === 0 || nodeAddresses.includes(remote)))
    return [hop, entry, ...(yield* walkUnderlay(local, flow, remote, peer))]
  const vtepName = peer === undefined ? `the VTEP at ${gateway}` : `the VTEP of ${peer.name}`
  const problem =
    remote === undefined
      ? `${device} has no FDB entry for ${neighbour.mac}, ${vtepName}`
      : `${device} sends packets for ${peer?.name} to ${remote}, which is not its address`
  const destination = nodeAddresses[0] ?? "THE NODE'S ADDRESS"
  const repair = `bridge fdb replace ${neighbour.mac} dev ${device} dst ${destination} self permanent`
  return [
    hop,
    {
      ...entry,
      broken: { problem: `${problem}: packets stop here`, remedy: `${agentRepairs}; by hand: ${repair}` },
    },
  ]
}

/** Walks over the machines' own network to another node, and on to its pod. */
export function* walkUnderlay(
  local: LocalNode,
  flow: Flow,
  remote: Address,
  peer: ClusterNode | undefined,
): TraceWalk<Hop[]> {
  const route = yield* ask('route', { destination: remote })
  if (route.type === 'none')
    return [
      {
        at: 'underlay',
        object: `no route to ${remote}`,
        command: route.command,
        broken: {
          problem: `this node has no route to ${remote}, the address of ${peer?.name ?? 'the node'}: ${route.reason}`,
          remedy: "repair the machine's own network",
        },
      },
    ]
  const hop = { at: 'underlay', object: route.line, command: route.command }
  const hops = yield* walkNextHop(flow, route.device, route.gateway ?? remote, hop)
  if (hops.some(({ broken }) => broken !== undefined)) return hops
  return [...hops, ...(yield* walkRemoteNode(local, flow, remote, peer))]
}

/** Judges what the other node does with the packet, as far as this node knows. */
function* walkRemoteNode(
  local: LocalNode,
  flow: Flow,
  remote: Address,
  peer: ClusterNode | undefined,
): TraceWalk<Hop[]> {
  const node = peer?.name ?? remote
  const [found] = yield* ask('lookup', { of: [flow.destination] })
  const arrival: Hop = {
    at: node,
    object: `${flow.destination} behind ${remote}`,
    note: 'its own kernel delivers it',
    command: remoteCommand(flow, node),
  }
  const cidr = peer?.podCidrs.find((each) => cidrContains(each, flow.destination))
  const isNodeAddress = cidr !== undefined && [cidr.network, nthAddress(cidr, 1)].includes(flow.destination)
  if (found?.allPods === true && found.pods.length === 0 && cidr !== undefined && !isNodeAddress) {
    const broken = {
      problem: `no pod of ${node} has ${flow.destination}, as far as the agent on this node knows`,
      remedy: 'look for the pod that you mean: kubectl get pods -A -o wide',
    }
    return [{ ...arrival, broken }]
  }
  const policies = yield* walkRemotePolicies(local, flow, node)
  return isBroken(policies) ? policies : [...policies, arrival]
}

/**
 * Checks the neighbour entry of the next hop: it must be resolved, or not exist yet.
 * @param hop the hop that chose the next one.
 */
export function* walkNextHop(flow: Flow, device: string, next: Address, hop: Hop): TraceWalk<Hop[]> {
  const neighbour = (yield* ask('neighbours', { family: familyOf(next), device }))?.find(
    ({ address }) => address === next,
  )
  if (neighbour === undefined || neighbour.mac !== undefined) return [hop]
  return [
    hop,
    {
      at: device,
      object: `${next} FAILED`,
      command: `ip neighbour show ${next} dev ${device}`,
      broken: {
        problem: `no machine answers for ${next} on ${device}: packets for ${flow.destination} stop here`,
        remedy: `see whether that machine is up and on the same link: ping ${next}`,
      },
    },
  ]
}
