// ipBlock peers: all addresses that any of them means, as intervals.
//
// A block names addresses as the cluster knows them. What another node sends itself, or with its own address in place
// of a client's, comes through the tunnel with that node's tunnel address: so a block that holds the node's address
// means this one too, and an exception that holds it excepts both.
import type { ClusterNode } from '../cluster/node.ts'
import type { BlockPeer } from '../cluster/network-policy.ts'
import { type Address, addressBits, addressFromBigInt, addressToBigInt, type Family, familyOf } from '../net/address.ts'
import { type Cidr, cidrContains } from '../net/cidr.ts'
import { difference, type Range, union } from './ranges.ts'

/** A node's own addresses, and the one that its packets carry in the tunnel. */
export interface TunnelAddress {
  readonly own: readonly Address[]
  readonly tunnel: Address
}

/** The tunnel address of a family is the network address of the node's first podCIDR of it, as the overlay gives it. */
export function tunnelAddresses(
  nodes: Iterable<Pick<ClusterNode, 'name' | 'podCidrs' | 'internalAddresses'>>,
): TunnelAddress[] {
  // In one order: that of the nodes means nothing.
  const sorted = [...nodes].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return sorted.flatMap(({ podCidrs, internalAddresses }) =>
    ([4, 6] as const).flatMap((family) => {
      const tunnel = podCidrs.find((cidr) => cidr.family === family)?.network
      return tunnel === undefined
        ? []
        : [{ own: internalAddresses.filter((address) => familyOf(address) === family), tunnel }]
    }),
  )
}

/** The addresses of one family that any of the blocks means, as nft writes intervals: "10.0.0.0-10.0.255.255". */
export function blockIntervals(
  blocks: readonly BlockPeer[],
  family: Family,
  tunnels: readonly TunnelAddress[],
): string[] {
  return union(blockRanges(blocks, family, tunnels)).map(({ first, last }) =>
    interval(addressFromBigInt(first, family), addressFromBigInt(last, family)),
  )
}

/** The same as numbers, in no order. */
export function blockRanges(blocks: readonly BlockPeer[], family: Family, tunnels: readonly TunnelAddress[]): Range[] {
  return blocks
    .filter(({ cidr }) => cidr.family === family)
    .flatMap(({ cidr, except }) =>
      difference(
        meaning(cidr, tunnels),
        except.flatMap((each) => meaning(each, tunnels)),
      ),
    )
}

/** As nft writes an interval, or a single value. */
export function interval(first: string, last: string): string {
  return first === last ? first : `${first}-${last}`
}

export function rangeOf({ network, prefix, family }: Cidr): Range {
  const first = addressToBigInt(network)
  return { first, last: first + (1n << BigInt(addressBits(family) - prefix)) - 1n }
}

function meaning(cidr: Cidr, tunnels: readonly TunnelAddress[]): Range[] {
  const inside = tunnels.filter(
    ({ own, tunnel }) => familyOf(tunnel) === cidr.family && own.some((address) => cidrContains(cidr, address)),
  )
  return [
    rangeOf(cidr),
    ...inside.map(({ tunnel }) => ({ first: addressToBigInt(tunnel), last: addressToBigInt(tunnel) })),
  ]
}
