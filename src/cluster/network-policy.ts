// The part of a NetworkPolicy object that we keep: frozen, with defaults applied. An invalid part never allows traffic:
// it is kept as an empty list.
import type { Cidr } from '../net/cidr.ts'
import type { LabelSelector } from './label-selector.ts'
import type { Protocol } from './service.ts'

export interface ClusterNetworkPolicy {
  readonly namespace: string
  readonly name: string
  /** The pods of its namespace that the policy isolates. */
  readonly podSelector: LabelSelector
  /** Traffic that these pods may receive: what any rule allows. Undefined: the policy does not apply to ingress. */
  readonly ingress: readonly PolicyRule[] | undefined
  /** Traffic that these pods may send: what any rule allows. Undefined: the policy does not apply to egress. */
  readonly egress: readonly PolicyRule[] | undefined
}

export interface PolicyRule {
  /** Any of these peers; undefined allows all peers. Empty when no peer of the object was valid: it allows none. */
  readonly peers: readonly PolicyPeer[] | undefined
  /** Any of these ports; undefined allows all ports. Empty when no port of the object was valid: it allows none. */
  readonly ports: readonly PolicyPort[] | undefined
}

export type PolicyPeer = PodPeer | BlockPeer

export interface PodPeer {
  /** The namespaces to select pods from; undefined selects the namespace of the policy. */
  readonly namespaces: LabelSelector | undefined
  readonly pods: LabelSelector
}

export interface BlockPeer {
  readonly cidr: Cidr
  /** Blocks within the cidr. */
  readonly except: readonly Cidr[]
}

export type PolicyPort = NumberedPort | NamedPort

/** Ports from first to last, inclusive: 0 to 65535 when the policy names only the protocol. */
export interface NumberedPort {
  readonly protocol: Protocol
  readonly first: number
  readonly last: number
}

/** A container port by name and protocol; the number is looked up in the destination pod. */
export interface NamedPort {
  readonly protocol: Protocol
  readonly name: string
}
