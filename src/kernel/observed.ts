// What the kernel holds, as `ip -j` and `bridge -j` tell it, parsed at the edge (read-*.ts) into these.
import type { Address, Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Mac } from '../net/mac.ts'

export interface Link {
  readonly index: number
  /** As the kernel has it: a foreign link may bear a name that we would never make. */
  readonly name: string
  readonly mac: Mac | undefined
  readonly mtu: number
  /** Administratively up (IFF_UP). */
  readonly up: boolean
  /** Carrier present (IFF_LOWER_UP). */
  readonly carrier: boolean
  readonly group: number
  readonly alias: string | undefined
  /** "bridge", "veth", "vxlan", ...; undefined for hardware. */
  readonly type: string | undefined
  /** The bridge it is a port of. */
  readonly master: string | undefined
  /** Of a veth whose other end is in another namespace; undefined for every other link. */
  readonly peer: LinkPeer | undefined
  /** For bridge ports alone. */
  readonly hairpin: boolean | undefined
  readonly vxlan: VxlanSettings | undefined
  readonly addresses: readonly InterfaceAddress[]
}

export interface LinkPeer {
  /** Its ifindex there. */
  readonly index: number
  /** The id that the namespace of the link gives the namespace of its peer (`ip netns list-id`). */
  readonly namespace: number
}

export interface VxlanSettings {
  readonly vni: number
  readonly port: number
  readonly local: Address | undefined
  /** The underlay device (`dev`). */
  readonly device: string | undefined
  readonly learning: boolean
}

export interface InterfaceAddress {
  readonly address: Address
  readonly prefix: number
  readonly scope: string
}

export interface Route {
  readonly family: Family
  readonly destination: Cidr
  readonly gateway: Address | undefined
  readonly device: string | undefined
  readonly source: Address | undefined
  /** The number, also where rt_protos has a name for it. */
  readonly protocol: number
  readonly onlink: boolean
  readonly scope: string | undefined
}

export interface Neighbour {
  readonly address: Address
  readonly mac: Mac | undefined
  readonly permanent: boolean
}

/** A neighbour of which the kernel never asks whether it is still there: permanent, or without ARP. */
export interface FixedNeighbour {
  readonly address: Address
  readonly mac: Mac | undefined
  readonly device: string
}

/** What a namespace other than ours holds. */
export interface NamespaceState {
  readonly links: readonly Link[]
  /** Of the main table. */
  readonly routes: readonly Route[]
  readonly fixedNeighbours: readonly FixedNeighbour[]
}

export interface FdbEntry {
  readonly mac: Mac
  readonly destination: Address | undefined
  /** Both bits of `self permanent`. */
  readonly self: boolean
  readonly permanent: boolean
}
