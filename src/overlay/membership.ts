// Which nodes take part. Two that claim the same addresses would steal each other's packets: the older one keeps them,
// on every node alike.
import type { ClusterNode } from '../cluster/node.ts'
import type { Address } from '../net/address.ts'
import { formatCidr } from '../net/cidr.ts'
import { Claims } from './claims.ts'
import { nodeAddress } from './uplink.ts'

export interface Membership {
  /** Oldest first, so that the order in which nodes were told never shows. */
  readonly members: readonly ClusterNode[]
  /** One sentence for each node that is left out. */
  readonly problems: readonly string[]
}

export function admit(nodes: readonly ClusterNode[]): Membership {
  const problems: string[] = []
  const blocks = new Claims()
  const holders = new Map<Address, string>()
  const candidates = nodes.toSorted(byAge).filter((node) => {
    const problem = lack(node) ?? blockClash(node, blocks) ?? addressClash(node, holders)
    if (problem !== undefined) {
      problems.push(problem)
      return false
    }
    for (const cidr of node.podCidrs) blocks.add(cidr, node.name)
    for (const address of addressesOf(node)) holders.set(address, node.name)
    return true
  })
  const members = candidates.filter((node) => {
    const problem = insidePodNetwork(node, blocks)
    if (problem !== undefined) problems.push(problem)
    return problem === undefined
  })
  return { members, problems }
}

function byAge(a: ClusterNode, b: ClusterNode): number {
  return a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1)
}

function lack(node: ClusterNode): string | undefined {
  if (node.podCidrs.length === 0)
    return `Node ${node.name} has no podCIDR and is left out; run the controller manager with --allocate-node-cidrs and --cluster-cidr`
  if (node.internalAddresses.length === 0)
    return `Node ${node.name} has no InternalIP and is left out; start its kubelet with --node-ip`
  return undefined
}

function blockClash(node: ClusterNode, blocks: Claims): string | undefined {
  for (const cidr of node.podCidrs) {
    const claim = blocks.find(cidr)
    if (claim !== undefined)
      return `Node ${node.name} has podCIDR ${formatCidr(cidr)}, of which the older node ${claim.owner} holds ${formatCidr(claim.cidr)}, and is left out; delete one of the two Node objects`
  }
  return undefined
}

function addressClash(node: ClusterNode, holders: ReadonlyMap<Address, string>): string | undefined {
  for (const address of addressesOf(node)) {
    const holder = holders.get(address)
    if (holder !== undefined)
      return `Node ${node.name} has InternalIP ${address}, as the older node ${holder} has, and is left out; delete the Node object whose machine is gone`
  }
  return undefined
}

/** A route to that pod network would swallow the packets that carry it. */
function insidePodNetwork(node: ClusterNode, blocks: Claims): string | undefined {
  for (const address of addressesOf(node)) {
    const claim = blocks.holder(address)
    if (claim !== undefined)
      return `Node ${node.name} has InternalIP ${address} inside podCIDR ${formatCidr(claim.cidr)} of node ${claim.owner} and is left out; start its kubelet with the underlay's address as --node-ip`
  }
  return undefined
}

function addressesOf(node: ClusterNode): Address[] {
  return ([4, 6] as const).flatMap((family) => nodeAddress(node, family) ?? [])
}
