// What the rules of one family depend on of this node: from its Node object and, where node ports are restricted, from
// its interfaces.
import type { ClusterNode } from '../cluster/node.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { type Address, type Family, familyOf } from '../net/address.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'

export function nodeFacts(node: ClusterNode, family: Family, localAddresses: readonly Address[]): NodeFacts {
  return {
    family,
    name: node.name,
    zone: node.zone,
    address: node.internalAddresses.find((address) => familyOf(address) === family),
    localAddresses: localAddresses.filter((address) => familyOf(address) === family),
    podCidr: node.podCidrs.find((cidr) => cidr.family === family),
  }
}

/**
 * Read again at each sync, so that an address that comes later is found; not read at all where no rule depends on it.
 * @throws {CommandError}
 */
export async function localAddresses(
  kernel: Kernel,
  { nodePortAddresses }: ServicesOptions,
): Promise<readonly Address[]> {
  if (typeof nodePortAddresses === 'string') return []
  const links = await kernel.links()
  return [...new Set(links.flatMap(({ addresses }) => addresses.map(({ address }) => address)))].toSorted()
}
