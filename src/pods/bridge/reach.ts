// Whether the node reaches its pods over the bridge: the route to each pod network, which the kernel makes with the
// gateway's address, and no neighbour that is wrong for good. Pure.
import type { Change } from '../../kernel/change.ts'
import type { FixedNeighbour, Link, Route } from '../../kernel/observed.ts'
import { connectedRoute, forgetNeighbour, releaseNeighbour } from '../../kernel/route-changes.ts'
import { type Cidr, cidrContains, cidrOf, formatCidr } from '../../net/cidr.ts'
import type { DesiredBridge } from './desired.ts'

/** What the kernel holds of the bridge. */
export interface ObservedReach {
  readonly bridge: Link | undefined
  /** Of its device. */
  readonly routes: readonly Route[]
  readonly fixedNeighbours: readonly FixedNeighbour[]
}

/**
 * We fix no neighbour of the bridge, so each that is fixed is another program's, or a person's.
 * @param podCidrs of this node, whose addresses nobody else has; none where another network shares the bridge
 */
export function diffReach(
  { name, gateways, neighbours }: DesiredBridge,
  { bridge, routes, fixedNeighbours }: ObservedReach,
  podCidrs: readonly Cidr[],
): Change[] {
  const wrong = fixedNeighbours.flatMap(({ address, mac }): Change[] => {
    const expected = neighbours.get(address)
    if (expected !== undefined) return mac === expected ? [] : [releaseNeighbour(name, address, expected)]
    // A pod that gets the address later would not be reached.
    return podCidrs.some((cidr) => cidrContains(cidr, address)) ? [forgetNeighbour(name, address)] : []
  })
  // With the device down, or the address missing, the route comes with these.
  const held = bridge?.up === true ? bridge.addresses : []
  const missing = gateways
    .filter(({ address, prefix }) => held.some((each) => each.address === address && each.prefix === prefix))
    .map(({ address, prefix }) => ({ address, network: cidrOf(address, prefix) }))
    .filter(({ network }) => !routes.some(({ destination }) => formatCidr(destination) === formatCidr(network)))
  return [...wrong, ...missing.map(({ address, network }) => connectedRoute(name, network, address))]
}
