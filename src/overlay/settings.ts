// What the operator decides about the overlay.
import type { Family } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import type { ChecksumOffload } from './checksum-offload.ts'

export interface OverlaySettings {
  /** The name of this machine's Node object. */
  readonly nodeName: string
  /**
   * `vxlan` for every peer, `direct` routes for every peer, `auto`: direct to peers on the node's own link and VXLAN to
   * the others, or `none`: by routes that others make.
   */
  readonly mode: 'vxlan' | 'direct' | 'auto' | 'none'
  readonly vni: number
  /** The UDP port VXLAN packets go to, the same on every node. */
  readonly port: number
  readonly device: InterfaceName
  readonly checksumOffload: ChecksumOffload
  /** Bytes a pod's packet may have; `auto` is all that the underlay carries. */
  readonly mtu: number | 'auto'
  /** The pods' families, the first being preferred for the underlay too, the same on every node. */
  readonly families: readonly Family[]
}
