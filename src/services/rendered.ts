// What rendering returns: rules, and what a layout needs to know of them.
import type { Protocol } from '../cluster/service.ts'
import type { Chains, Match, Rule } from '../iptables/rule.ts'
import type { Address } from '../net/address.ts'
import type { ServicesOptions } from './options.ts'
import type { ServicePort } from './service-port.ts'

/** An address, port and protocol that a service port answers on. */
export interface Frontend {
  readonly kind: 'cluster-ip' | 'external-ip' | 'load-balancer' | 'node-port'
  /** Undefined for node ports alone. */
  readonly address: Address | undefined
  readonly port: number
  readonly protocol: Protocol
  /** The chain that its packets go to. */
  readonly target: string
  /** Of a node port on loopback addresses: kube-proxy's object that counts who still uses it. */
  readonly countedBy?: string
  readonly owner: ServicePort
}

export type FilterChain = 'KUBE-SERVICES' | 'KUBE-EXTERNAL-SERVICES' | 'KUBE-NODEPORTS' | 'KUBE-PROXY-FIREWALL'

/**
 * A rule in table filter: what has no endpoint is refused, what source ranges exclude is dropped, health checks are let
 * in.
 */
export interface FilterRule {
  readonly chain: FilterChain
  /** As in {@link Frontend}. `health-check`: a port of the node that claims nothing. */
  readonly kind: Frontend['kind'] | 'health-check'
  readonly address: Address | undefined
  readonly port: number
  readonly protocol: Protocol
  readonly rule: Rule
  readonly owner: ServicePort
}

/**
 * Everything that one service port asks of the kernel: a pure function of the port, its endpoints, the options and the
 * node.
 */
export interface RenderedPort {
  readonly port: ServicePort
  /** Chains of table nat, callees first: KUBE-SEP, KUBE-SVC and KUBE-SVL, KUBE-EXT, KUBE-FW. */
  readonly chains: Chains
  readonly frontends: readonly Frontend[]
  readonly filter: readonly FilterRule[]
  /**
   * UDP alone: "10.244.1.5:53" of each endpoint that serves, also where new connections do not go to it (it ends, hints
   * or a policy Local lead elsewhere).
   */
  readonly serving: readonly string[]
}

/** One endpoint's entry in KUBE-SVC or KUBE-SVL. */
export interface EndpointLink {
  /** The endpoint's KUBE-SEP chain. */
  readonly target: string
  /** Undefined in a large cluster. */
  readonly comment: Match | undefined
}

/** Spreads connections evenly over the links: the rules of `chain` itself, and of whatever chains it calls. */
export type EndpointLayout = (chain: string, links: readonly EndpointLink[]) => Chains

/**
 * How frontends are found: KUBE-SERVICES and KUBE-NODEPORTS of table nat, and whatever chains they call (those first).
 * What follows in KUBE-SERVICES (the jump to KUBE-NODEPORTS) is appended by the caller: a miss must come back to it,
 * except in the ClusterIPs' own network.
 */
export type FrontendLayout = (frontends: readonly Frontend[], options: ServicesOptions) => Chains

/** All of one family: chain name -> rules, callees first. Base jumps are apart. */
export interface DesiredRules {
  readonly filter: Chains
  readonly nat: Chains
}
