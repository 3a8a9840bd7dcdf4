// Which of several nodes that claim the same the kernel leads to now: read from its entries, so that a restarted agent
// knows it too.
import type { ClusterNode } from '../cluster/node.ts'
import type { Address } from '../net/address.ts'
import { formatCidr, nthAddress } from '../net/cidr.ts'
import type { Mac } from '../net/mac.ts'
import type { ObservedOverlay } from './observe.ts'
import { nodeAddress } from './uplink.ts'
import { vtepAddress, vtepOf } from './vtep.ts'

/**
 * Returns whether packets to a node's pods go to that node's address now. Our own node is in force where a link holds
 * the gateway of its pods or its VTEP address.
 */
export function inForceIn(observed: ObservedOverlay, own: string): (node: ClusterNode) => boolean {
  let known: Known | undefined
  return (node) => {
    const { held, gateways, remotes } = (known ??= knownOf(observed))
    if (node.name === own) return node.podCidrs.some((cidr) => held.has(nthAddress(cidr, 1)) || held.has(cidr.network))
    const vtep = vtepOf(node.podCidrs)
    const remote = vtep && remotes.get(vtep.mac)
    const tunnelled = ([4, 6] as const).some((family) => remote !== undefined && nodeAddress(node, family) === remote)
    return node.podCidrs.some((cidr) => {
      const gateway = gateways.get(formatCidr(cidr))
      if (gateway === undefined) return false
      return (
        gateway === nodeAddress(node, cidr.family) ||
        (tunnelled && gateway === (vtep && vtepAddress(vtep, cidr.family)))
      )
    })
  }
}

interface Known {
  /** On any link of this machine. */
  readonly held: ReadonlySet<Address>
  readonly gateways: ReadonlyMap<string, Address | undefined>
  readonly remotes: ReadonlyMap<Mac, Address | undefined>
}

/** Costs a walk over all entries: made where two nodes claim the same. */
function knownOf({ links, routes, fdb }: ObservedOverlay): Known {
  return {
    held: new Set(links.flatMap(({ addresses }) => addresses.map(({ address }) => address))),
    gateways: new Map(routes.map(({ destination, gateway }) => [formatCidr(destination), gateway])),
    remotes: new Map(fdb.map(({ mac, destination }) => [mac, destination])),
  }
}
