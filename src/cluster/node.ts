// The part of a Node object that we keep, frozen so that two values can be compared.
import type { Address } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'

export interface ClusterNode {
  readonly name: string
  readonly uid: string
  /** creationTimestamp in ms since the epoch. */
  readonly createdAt: number
  /** spec.podCIDRs (or podCIDR), in the order given. Empty until the controller manager assigns one. */
  readonly podCidrs: readonly Cidr[]
  /** status.addresses of type InternalIP, in the order given. */
  readonly internalAddresses: readonly Address[]
  /** status.daemonEndpoints.kubeletEndpoint.Port; kubelet's default where the Node does not say. */
  readonly kubeletPort: number
  /** The label topology.kubernetes.io/zone. */
  readonly zone: string | undefined
  /**
   * The node is being deleted, or the autoscaler is about to remove it, so load balancers must not choose it
   * (KEP-3836). A cordoned or unready node does not count.
   */
  readonly leaving: boolean
  /**
   * The condition Ready: true for True or False, which a kubelet writes; false for Unknown, which the node controller
   * writes 50 s after the last sign of life; undefined without the condition.
   */
  readonly alive: boolean | undefined
  /** A cloud controller has set the condition NetworkUnavailable, so the scheduler keeps pods away. */
  readonly networkUnavailable: boolean
}
