// One peer: the entries by which its pods are reached, over VXLAN or by direct routes.
import type { ClusterNode } from '../cluster/node.ts'
import type { RouteSettings } from '../kernel/route-changes.ts'
import type { Address, Family } from '../net/address.ts'
import { type Cidr, cidrContains } from '../net/cidr.ts'
import type { Mac } from '../net/mac.ts'
import type { VxlanDevice } from './state.ts'
import { nodeAddress, type Uplink } from './uplink.ts'
import { vtepAddress, vtepOf } from './vtep.ts'

/** How this node reaches others. */
export interface Paths {
  /** Families in which this node has pods. */
  readonly families: readonly Family[]
  /** The family of VXLAN's outer packets. */
  readonly underlay: Family
  /** Undefined in direct mode. */
  readonly device: VxlanDevice | undefined
  /** Where direct routes may leave; empty in VXLAN mode. */
  readonly uplinks: ReadonlyMap<Family, Uplink>
}

export interface PeerEntries {
  readonly neighbours: readonly (readonly [Address, Mac])[]
  readonly fdb: readonly (readonly [Mac, Address])[]
  readonly routes: readonly RouteSettings[]
  readonly problems: readonly string[]
}

export function peerEntries(peer: ClusterNode, paths: Paths): PeerEntries {
  const cidrs = peer.podCidrs.filter((cidr) => paths.families.includes(cidr.family))
  if (cidrs.length === 0)
    return nothing(
      `Node ${peer.name} has no podCIDR in ${familyNames(paths.families)}, as this node has, and is left out; give both the same families in --cluster-cidr`,
    )
  const direct = cidrs.flatMap((destination) => directRoute(peer, destination, paths.uplinks) ?? [])
  const rest = cidrs.filter((cidr) => !direct.some((route) => route.destination === cidr))
  if (rest.length === 0) return { neighbours: [], fdb: [], routes: direct, problems: [] }
  const tunnelled =
    paths.device === undefined
      ? nothing(unreachable(peer, rest, paths.uplinks))
      : vxlanEntries(peer, rest, paths.device, paths.underlay)
  return { ...tunnelled, routes: [...direct, ...tunnelled.routes] }
}

/** Undefined for a peer that is not on the uplink's own link in the destination's family. */
function directRoute(
  peer: ClusterNode,
  destination: Cidr,
  uplinks: ReadonlyMap<Family, Uplink>,
): RouteSettings | undefined {
  const uplink = uplinks.get(destination.family)
  const gateway = nodeAddress(peer, destination.family)
  if (uplink === undefined || gateway === undefined || !uplink.subnets.some((subnet) => cidrContains(subnet, gateway)))
    return undefined
  return { destination, gateway, device: uplink.device }
}

/** A neighbour and a route per family, and one FDB entry for both. */
function vxlanEntries(peer: ClusterNode, cidrs: readonly Cidr[], device: VxlanDevice, underlay: Family): PeerEntries {
  const vtep = vtepOf(peer.podCidrs)
  const remote = nodeAddress(peer, underlay)
  if (vtep === undefined || remote === undefined)
    return nothing(
      `Node ${peer.name} has no IPv${underlay} InternalIP, in which this cluster's VXLAN runs, and is left out; start its kubelet with such a --node-ip`,
    )
  const gateways = new Map(cidrs.map((cidr) => [cidr, vtepAddress(vtep, cidr.family) ?? cidr.network]))
  return {
    neighbours: [...new Set(gateways.values())].map((gateway) => [gateway, vtep.mac]),
    fdb: [[vtep.mac, remote]],
    routes: cidrs.map((destination) => ({
      destination,
      gateway: gateways.get(destination) ?? destination.network,
      device: device.name,
      onlink: true,
    })),
    problems: [],
  }
}

function unreachable(peer: ClusterNode, cidrs: readonly Cidr[], uplinks: ReadonlyMap<Family, Uplink>): string {
  const families = [...new Set(cidrs.map((cidr) => cidr.family))]
  const devices = [...new Set(families.flatMap((family) => uplinks.get(family)?.device ?? []))]
  const where = devices.length === 0 ? 'any link of this node' : devices.join(' or ')
  return `Node ${peer.name} is not on ${where} in ${familyNames(families)}, so no direct route leads to its pods; use overlay mode auto or vxlan`
}

function familyNames(families: readonly Family[]): string {
  return families.map((family) => `IPv${family}`).join(' and ')
}

function nothing(problem: string): PeerEntries {
  return { neighbours: [], fdb: [], routes: [], problems: [problem] }
}
