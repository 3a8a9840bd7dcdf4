// What we keep of a NetworkPolicy object: frozen, defaults applied, and closed where it could not be read: what makes
// no sense in it admits nothing.
import type { Cidr } from '../net/cidr.ts'
import type { LabelSelector } from './label-selector.ts'
import type { Protocol } from './service.ts'

export interface ClusterNetworkPolicy {
  readonly namespace: string
  readonly name: string
  /** The pods of its namespace that it isolates. */
  readonly podSelector: LabelSelector
  /** What these may be sent, any rule of it; none: nothing. Undefined: it says nothing about this direction. */
  readonly ingress: readonly PolicyRule[] | undefined
  /** What these may send. */
  readonly egress: readonly PolicyRule[] | undefined
}

export interface PolicyRule {
  /** Any of them; undefined: everybody. An empty list is what is left of peers that could not be read: nobody. */
  readonly peers: readonly PolicyPeer[] | undefined
  /**
   * Any of them; undefined: all ports of all protocols. An empty list is what is left of ports that could not be read:
   * none.
   */
  readonly ports: readonly PolicyPort[] | undefined
}

export type PolicyPeer = PodPeer | BlockPeer

export interface PodPeer {
  /** Pods of which namespaces; undefined: of the policy's own. */
  readonly namespaces: LabelSelector | undefined
  readonly pods: LabelSelector
}

export interface BlockPeer {
  readonly cidr: Cidr
  /** Each within the cidr. */
  readonly except: readonly Cidr[]
}

export type PolicyPort = NumberedPort | NamedPort

/** From first to last; 0 to 65535 where the policy names the protocol alone. */
export interface NumberedPort {
  readonly protocol: Protocol
  readonly first: number
  readonly last: number
}

/** The number is that of the container port with this name and protocol, in the pod that packets go to. */
export interface NamedPort {
  readonly protocol: Protocol
  readonly name: string
}
