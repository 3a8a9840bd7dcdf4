// What the kernel should hold for the overlay, as plain values.
import type { RouteSettings } from '../kernel/route-changes.ts'
import type { Address } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import type { Mac } from '../net/mac.ts'

export interface OverlayState {
  /** Undefined where nothing goes through it: then a device of ours that is there is removed. */
  readonly device: VxlanDevice | undefined
  /** Next hops behind the device, and whose MAC they have. */
  readonly neighbours: ReadonlyMap<Address, Mac>
  /** Where the device sends frames for a MAC: the underlay address of its node. */
  readonly fdb: ReadonlyMap<Mac, Address>
  /** By destination; each has a gateway. */
  readonly routes: ReadonlyMap<string, RouteSettings>
  readonly podMtu: number
  /** Other nodes that are reached. */
  readonly peers: number
}

export interface VxlanDevice {
  readonly name: InterfaceName
  readonly mac: Mac
  readonly mtu: number
  readonly vni: number
  readonly port: number
  /** The node's own underlay address. */
  readonly local: Address
  /** The uplink's device. */
  readonly device: InterfaceName
  /** One host address (/32 or /128) per family: the source of the node's own traffic to pods elsewhere. */
  readonly addresses: readonly Address[]
}
