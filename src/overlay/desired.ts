// From the cluster's nodes and this machine's links to what the kernel should hold. Pure.
import type { ClusterNode } from '../cluster/node.ts'
import type { Link } from '../kernel/observed.ts'
import type { RouteSettings } from '../kernel/route-changes.ts'
import { type Address, type Family, familyOf } from '../net/address.ts'
import { formatCidr } from '../net/cidr.ts'
import type { Mac } from '../net/mac.ts'
import { deviceConflict } from './conflict.ts'
import { admit, type Evidence, type LeftOut } from './membership.ts'
import { podMtu, vxlanOverhead } from './mtu.ts'
import { type Paths, peerEntries } from './peer.ts'
import type { OverlaySettings } from './settings.ts'
import type { OverlayState, VxlanDevice } from './state.ts'
import { findUplink, nodeAddress, type Uplink } from './uplink.ts'
import { vtepOf } from './vtep.ts'

export interface DesiredOverlay {
  /**
   * Undefined where this node's own part is unknown or impossible: then nothing is changed, and above all nothing
   * removed.
   */
  readonly state: OverlayState | undefined
  /** Each a sentence that says what, where, and what to do. */
  readonly problems: readonly string[]
  /** Nodes that are left out, this one perhaps among them. */
  readonly leftOut: readonly LeftOut[]
  /** Whether two nodes claim the same: then what is in force decides, too. */
  readonly contested: boolean
}

/**
 * @param links all links of this machine, for the uplink and for what stands in our way.
 * @param evidence which nodes are alive and in force, beyond what their objects say
 */
export function desiredOverlay(
  settings: OverlaySettings,
  nodes: readonly ClusterNode[],
  links: readonly Link[],
  evidence: Omit<Evidence, 'own'> = {},
): DesiredOverlay {
  const own = nodes.find((node) => node.name === settings.nodeName)
  if (own === undefined)
    return {
      leftOut: [],
      contested: false,
      ...unchanged([
        `Node ${settings.nodeName} is not in the cluster, so nothing is changed; set nodeName to the name of this machine's Node object`,
      ]),
    }
  const { members, leftOut, contested } = admit(nodes, { ...evidence, own: own.name })
  const judged = { leftOut, contested }
  const problems = leftOut.map(({ problem }) => problem)
  if (!members.includes(own))
    return {
      ...judged,
      ...unchanged([
        ...problems,
        `Node ${own.name} is this one, so nothing is changed on this machine until that is put right`,
      ]),
    }
  const local = localPart(settings, own, links)
  if ('problem' in local) return { ...judged, ...unchanged([...problems, local.problem]) }
  const { paths, mtu } = local

  const neighbours = new Map<Address, Mac>()
  const fdb = new Map<Mac, Address>()
  const routes = new Map<string, RouteSettings>()
  const peerProblems: string[] = []
  let peers = 0
  for (const peer of members) {
    if (peer === own || settings.mode === 'none') continue
    const entries = peerEntries(peer, paths)
    for (const [address, mac] of entries.neighbours) neighbours.set(address, mac)
    for (const [mac, remote] of entries.fdb) fdb.set(mac, remote)
    for (const route of entries.routes) routes.set(formatCidr(route.destination), route)
    peerProblems.push(...entries.problems)
    if (entries.routes.length > 0) peers++
  }
  return {
    ...judged,
    state: { device: paths.device, neighbours, fdb, routes, podMtu: mtu, peers },
    problems: [...problems, ...local.problems, ...peerProblems],
  }
}

interface LocalPart {
  readonly paths: Paths
  readonly mtu: number
  readonly problems: readonly string[]
}

/** This node's own end of every path, or the sentence that says why there is none. */
function localPart(
  settings: OverlaySettings,
  own: ClusterNode,
  links: readonly Link[],
): LocalPart | { problem: string } {
  const families = settings.families.filter((family) => own.podCidrs.some((cidr) => cidr.family === family))
  const missing = settings.families
    .filter((family) => !families.includes(family))
    .map(
      (family) =>
        `Node ${own.name} has no IPv${family} podCIDR, so its pods get no IPv${family} address; add such a block to --cluster-cidr or take it out of families`,
    )
  const [firstMissing] = missing
  if (families.length === 0)
    return { problem: firstMissing ?? 'Option families is empty, so nothing is changed; set it to ipv4, ipv6 or both' }

  const underlay = ([...settings.families, 4, 6] as const).find((family) => nodeAddress(own, family) !== undefined) ?? 4
  const address = nodeAddress(own, underlay)
  const uplink = address === undefined ? undefined : findUplink(links, address)
  if (uplink === undefined)
    return {
      problem: `InternalIP ${address} of node ${own.name} is on no link of this machine, so nothing is changed; correct the address on the link or the kubelet's --node-ip`,
    }

  const uplinks = settings.mode === 'vxlan' ? new Map<Family, Uplink>() : uplinksOf(own, families, links)
  const tunnels = settings.mode === 'vxlan' || settings.mode === 'auto'
  const limit = tunnels
    ? uplink.mtu - vxlanOverhead(underlay)
    : Math.min(uplink.mtu, ...[...uplinks.values()].map(({ mtu }) => mtu))
  const { mtu, problems } = podMtu(settings.mtu, limit)
  const device = tunnels ? vxlanDevice(settings, own, families, { uplink, mtu }) : undefined
  const conflict = device === undefined ? undefined : deviceConflict(device, links)
  if (conflict !== undefined) return { problem: conflict }
  return { paths: { families, underlay, device, uplinks }, mtu, problems: [...missing, ...problems] }
}

function vxlanDevice(
  settings: OverlaySettings,
  own: ClusterNode,
  families: readonly Family[],
  { uplink, mtu }: { uplink: Uplink; mtu: number },
): VxlanDevice | undefined {
  const vtep = vtepOf(own.podCidrs)
  if (vtep === undefined) return undefined
  const addresses = vtep.addresses.filter((address) => families.includes(familyOf(address)))
  return {
    name: settings.device,
    mac: vtep.mac,
    mtu,
    vni: settings.vni,
    port: settings.port,
    local: uplink.address,
    device: uplink.device,
    addresses,
  }
}

function uplinksOf(own: ClusterNode, families: readonly Family[], links: readonly Link[]): Map<Family, Uplink> {
  return new Map(
    families.flatMap((family) => {
      const address = nodeAddress(own, family)
      const uplink = address === undefined ? undefined : findUplink(links, address)
      return uplink === undefined ? [] : [[family, uplink] as const]
    }),
  )
}

function unchanged(problems: readonly string[]): Pick<DesiredOverlay, 'state' | 'problems'> {
  return { state: undefined, problems }
}
