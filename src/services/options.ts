// What the rules depend on besides Services and slices: the operator's choices and this node. Defaults are
// kube-proxy's.
import type { Address, Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import type { InterfaceName } from '../net/interface-name.ts'

export interface ServicesOptions {
  /**
   * `tree`: frontends and endpoints are found in O(log n) where there are many. `flat`: as kube-proxy lays them out, at
   * any size.
   */
  readonly layout: 'tree' | 'flat'
  /** With layout `tree`: up to so many frontends stay one chain, byte for byte as kube-proxy lays them out. */
  readonly treeFrom: number
  /** Give every connection to a ClusterIP the node's address. */
  readonly masqueradeAll: boolean
  /** 0 to 31: the bit of the packet mark that asks for the node's address. */
  readonly masqueradeBit: number
  /**
   * Where node ports answer: on every address of the node, on its primary one, or on those within the blocks (a family
   * without a block: all).
   */
  readonly nodePortAddresses: 'all' | 'primary' | readonly Cidr[]
  /** Node ports answer on 127.0.0.1 too: IPv4 alone, and only where nodePortAddresses has loopback addresses. */
  readonly localhostNodePorts: boolean
  readonly detectLocal: DetectLocal
  /** Blocks whose every address is a ClusterIP or nobody's: what no Service answers there is refused. */
  readonly refusedBlocks: readonly Cidr[]
  /** nf_conntrack_tcp_be_liberal is set: packets that conntrack calls invalid are not dropped. */
  readonly tcpBeLiberal: boolean
  /** The kernel has kube-proxy's nfacct objects. A rule that names a missing one fails its whole table. */
  readonly nfacct: boolean
}

/**
 * How a packet from a pod of this node is told from others. Where it cannot be told, ClusterIP traffic is not
 * masqueraded.
 */
export type DetectLocal =
  /** Of each family the first counts. */
  | { readonly by: 'clusterCidr'; readonly cidrs: readonly Cidr[] }
  /** This node's own podCIDR. */
  | { readonly by: 'nodeCidr' }
  | { readonly by: 'bridge'; readonly name: InterfaceName }
  | { readonly by: 'prefix'; readonly prefix: InterfaceName }

export const defaultOptions: ServicesOptions = {
  layout: 'tree',
  treeFrom: 64,
  masqueradeAll: false,
  masqueradeBit: 14,
  nodePortAddresses: 'all',
  localhostNodePorts: true,
  detectLocal: { by: 'clusterCidr', cidrs: [] },
  refusedBlocks: [],
  tcpBeLiberal: false,
  nfacct: false,
}

/** This node, as far as the rules of one family depend on it. */
export interface NodeFacts {
  readonly family: Family
  /** As in nodeName of slices. */
  readonly name: string
  /** The label topology.kubernetes.io/zone. */
  readonly zone: string | undefined
  /** The address of the family that the node goes by; undefined where it has none. */
  readonly address: Address | undefined
  /** Every address of the family on the node's interfaces. Read only where nodePortAddresses restricts them. */
  readonly localAddresses: readonly Address[]
  readonly podCidr: Cidr | undefined
}
