// The packet on its way, and the node that it is traced on.
import type { AgentStatus } from '../../agent/status-shape.ts'
import type { Protocol } from '../../cluster/service.ts'
import type { Address, Family } from '../../net/address.ts'
import { cidrContains } from '../../net/cidr.ts'
import type { PodAttachment } from '../../pods/attachment-codec.ts'

/** The first packet of a connection. */
export interface Flow {
  readonly family: Family
  readonly source: Address
  readonly destination: Address
  readonly protocol: Protocol
  readonly port: number
  /** Where it came in; undefined: a process of this node sends it. */
  readonly device: string | undefined
  /** The host end of the pod's wire that it came by, where it did. */
  readonly wire: string | undefined
  readonly mark: number
  /** A rule has given it another destination. */
  readonly translated: boolean
  /** From one port of the bridge to another: it is not routed. */
  readonly bridged: boolean
}

/** Whether rules see what goes from one port of the bridge to another. */
export const bridgeFilterKeys = {
  4: 'net/bridge/bridge-nf-call-iptables',
  6: 'net/bridge/bridge-nf-call-ip6tables',
} as const

export type ClusterNode = AgentStatus['nodes'][number]

/** This node. */
export interface Here {
  readonly node: string
  readonly bridge: string
  readonly vxlanDevice: string
  /** All of the cluster; none where the agent does not answer. */
  readonly nodes: readonly ClusterNode[]
  readonly attachments: readonly PodAttachment[]
  /** What people call iptables with: iptables-nft, iptables-legacy. */
  readonly iptables: Readonly<Record<Family, string>>
}

export function endpoint(address: Address, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** The node whose pods have addresses such as this one. */
export function nodeOfPod({ nodes }: Here, address: Address): ClusterNode | undefined {
  return nodes.find(({ podCidrs }) => podCidrs.some((cidr) => cidrContains(cidr, address)))
}

export function attachmentOf({ attachments }: Here, address: Address): PodAttachment | undefined {
  return attachments.find(({ addresses }) => addresses.includes(address))
}

export function nameOf({ pod, containerId }: PodAttachment): string {
  return pod === undefined ? `container ${containerId.slice(0, 12)}` : `${pod.namespace}/${pod.name}`
}
