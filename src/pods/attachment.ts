// An attachment: one interface that we gave to one pod, from its ADD to its DEL.
import type { Address } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import type { Mac } from '../net/mac.ts'

export interface Attachment {
  /** The conflist's name. Undefined, as is containerId, where the record was lost and nothing else says it. */
  readonly network: string | undefined
  readonly containerId: string | undefined
  /** The name inside the pod (CNI_IFNAME), usually eth0. */
  readonly podInterface: InterfaceName
  /**
   * The host end, a port of the bridge, and the key of the attachment: its name follows from the container and
   * podInterface ({@link hostVethName}). The kernel removes it with the pod's namespace: an attachment without it is
   * dead.
   */
  readonly hostInterface: InterfaceName
  /** CNI_NETNS as the runtime gave it. */
  readonly netns: string
  /**
   * st_dev:st_ino of the namespace as the CNI binary saw it. Inode numbers are reused at once: it proves a difference,
   * never sameness.
   */
  readonly netnsId: string | undefined
  /** One address per family, in the order of the node's podCIDRs. */
  readonly addresses: readonly Address[]
  readonly podMac: Mac
  readonly mtu: number
  /** Who the pod is, from CNI_ARGS; undefined with a runtime that does not say. */
  readonly pod: PodIdentity | undefined
  readonly portMappings: readonly PortMapping[]
  readonly bandwidth: Bandwidth | undefined
  /** ms since the epoch. */
  readonly createdAt: number
}

export interface PodIdentity {
  readonly namespace: string
  readonly name: string
  readonly uid: string | undefined
}

/** One hostPort (CNI capability portMappings). */
export interface PortMapping {
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  /** Undefined: on every local address. */
  readonly hostAddress: Address | undefined
}

/** Limits in bit/s and bits (CNI capability bandwidth); ingress is towards the pod. */
export interface Bandwidth {
  readonly ingress: RateLimit | undefined
  readonly egress: RateLimit | undefined
}

export interface RateLimit {
  readonly rateBits: number
  readonly burstBits: number
}
