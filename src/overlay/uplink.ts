// The uplink: the link that holds the node's own address, over which all traffic between nodes goes.
import type { ClusterNode } from '../cluster/node.ts'
import type { Link } from '../kernel/observed.ts'
import { type Address, addressBits, type Family, familyOf } from '../net/address.ts'
import { type Cidr, cidrOf } from '../net/cidr.ts'
import { type InterfaceName, parseInterfaceName } from '../net/interface-name.ts'

export interface Uplink {
  readonly device: InterfaceName
  readonly address: Address
  readonly mtu: number
  /** What the link's own addresses say is on it, in the address's family. */
  readonly subnets: readonly Cidr[]
}

/**
 * The address by which other nodes reach the node: its first InternalIP of the family, as each of them must choose the
 * same.
 */
export function nodeAddress(node: ClusterNode, family: Family): Address | undefined {
  return node.internalAddresses.find((address) => familyOf(address) === family)
}

/**
 * Undefined where no link holds the address. Of several that do, one that is up comes first, then the one made first.
 * @throws {TypeError} when the link has a name that no batch line can carry.
 */
export function findUplink(links: readonly Link[], address: Address): Uplink | undefined {
  const holders = links.filter((link) => link.addresses.some((held) => held.address === address))
  const [link] = holders.toSorted((a, b) => Number(b.up) - Number(a.up) || a.index - b.index)
  if (link === undefined) return undefined
  const family = familyOf(address)
  const subnets = link.addresses
    .filter((held) => familyOf(held.address) === family && held.prefix < addressBits(family))
    .map((held) => cidrOf(held.address, held.prefix))
  return { device: parseInterfaceName(link.name), address, mtu: link.mtu, subnets }
}
