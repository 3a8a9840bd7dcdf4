// A node's VXLAN tunnel end (VTEP), computed by every node from the podCIDRs alone: nothing is announced, so nothing
// can be stale.
import { type Address, type Family, familyOf } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import { macOf, type Mac } from '../net/mac.ts'

export interface Vtep {
  /** From the first IPv4 podCIDR whatever the list's order, else a hash of the first IPv6 one. */
  readonly mac: Mac
  /** The network address of the first podCIDR of each family: no pod ever gets it. */
  readonly addresses: readonly Address[]
}

/** Undefined for a node without podCIDRs. */
export function vtepOf(podCidrs: readonly Cidr[]): Vtep | undefined {
  const addresses = ([4, 6] as const).flatMap(
    (family) => podCidrs.find((cidr) => cidr.family === family)?.network ?? [],
  )
  const [first] = addresses
  return first === undefined ? undefined : { mac: macOf('vtep', first), addresses }
}

export function vtepAddress(vtep: Vtep, family: Family): Address | undefined {
  return vtep.addresses.find((address) => familyOf(address) === family)
}
