// What we keep of a Node object: nothing more, frozen, so that two of them can be compared.
import type { Address } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'

export interface ClusterNode {
  readonly name: string
  readonly uid: string
  /** creationTimestamp in ms: of two nodes that claim the same, the older wins. */
  readonly createdAt: number
  /** spec.podCIDRs (or podCIDR), in the order given. Empty until the controller manager assigns one. */
  readonly podCidrs: readonly Cidr[]
  /** status.addresses of type InternalIP, in the order given. */
  readonly internalAddresses: readonly Address[]
  /** The label topology.kubernetes.io/zone. */
  readonly zone: string | undefined
  /**
   * It is being deleted, or the autoscaler is about to remove it: load balancers are to go elsewhere (KEP-3836). Not so
   * one that is cordoned or not ready.
   */
  readonly leaving: boolean
  /** A cloud's controller has said that pods of it have no network yet, and keeps them from it. */
  readonly networkUnavailable: boolean
}
