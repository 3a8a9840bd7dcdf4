// The traced packet, and what a trace knows about the node it runs on.
import type { AgentStatus } from '../../agent/status-shape.ts'
import type { Protocol } from '../../cluster/service.ts'
import type { Address, Family } from '../../net/address.ts'
import { cidrContains } from '../../net/cidr.ts'
import type { PodAttachment } from '../../pods/attachment-codec.ts'

/** The first packet of a connection, as it is at one hop. */
export interface Flow {
  readonly family: Family
  readonly source: Address
  readonly destination: Address
  readonly protocol: Protocol
  /** The destination port. */
  readonly port: number
  /** The device by which the packet entered; undefined when a process of this node sends it. */
  readonly device: string | undefined
  /** The host end of the veth pair of the local pod that sends the packet; undefined for other senders. */
  readonly hostInterface: string | undefined
  readonly mark: number
  /** A DNAT rule has changed the destination. */
  readonly translated: boolean
  /** The packet goes from one port of the bridge to another, without routing. */
  readonly bridged: boolean
}

/** The sysctls that send bridged packets through iptables. */
export const bridgeFilterKeys = {
  4: 'net/bridge/bridge-nf-call-iptables',
  6: 'net/bridge/bridge-nf-call-ip6tables',
} as const

export type ClusterNode = AgentStatus['nodes'][number]

/** The node that the trace runs on. */
export interface LocalNode {
  readonly node: string
  readonly bridge: string
  readonly vxlanDevice: string
  /** All nodes of the cluster; empty when the agent does not answer. */
  readonly nodes: readonly ClusterNode[]
  readonly attachments: readonly PodAttachment[]
  /** The command for the backend in use: iptables-nft or iptables-legacy, and its IPv6 twin. */
  readonly iptables: Readonly<Record<Family, string>>
}

/** Formats "ADDRESS:PORT", with brackets around an IPv6 address. */
export function endpoint(address: Address, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** Returns the node whose pod CIDRs contain the address. */
export function nodeOfPod({ nodes }: LocalNode, address: Address): ClusterNode | undefined {
  return nodes.find(({ podCidrs }) => podCidrs.some((cidr) => cidrContains(cidr, address)))
}

/** Returns the attachment of the local pod with the address. */
export function attachmentOf({ attachments }: LocalNode, address: Address): PodAttachment | undefined {
  return attachments.find(({ addresses }) => addresses.includes(address))
}

/** Returns "namespace/name" of the attachment's pod, or its container ID or veth if nothing names the pod. */
export function podName({ pod, containerId, hostInterface }: PodAttachment): string {
  if (pod !== undefined) return `${pod.namespace}/${pod.name}`
  return containerId === undefined ? `the pod at ${hostInterface}` : `container ${containerId.slice(0, 12)}`
}
