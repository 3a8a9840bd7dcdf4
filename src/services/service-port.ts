// One port of one Service in one family: the unit that everything in this room is decided for.
import type { EventRegarding } from '../cluster/event.ts'
import type { Protocol } from '../cluster/service.ts'
import type { Address, Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'

export interface ServicePort {
  /**
   * "ns/svc:port", or "ns/svc" where the port has no name: what comments say and hashes are made of. Unique together
   * with the protocol.
   */
  readonly id: string
  readonly family: Family
  readonly namespace: string
  readonly name: string
  /** "" where it has none. */
  readonly portName: string
  readonly protocol: Protocol
  readonly clusterIp: Address
  readonly port: number
  /** 0 where there is none. */
  readonly nodePort: number
  /** These three hold addresses of the family alone, each once, in the order given. */
  readonly externalIps: readonly Address[]
  readonly loadBalancerIps: readonly Address[]
  /** Empty: the load balancer's addresses are open to all. */
  readonly sourceRanges: readonly Cidr[]
  /** internalTrafficPolicy Local: the ClusterIP leads to endpoints of this node alone. */
  readonly internalLocal: boolean
  /** externalTrafficPolicy Local, where the Service is of a type for which it counts. */
  readonly externalLocal: boolean
  /** 0 where there is none: only a LoadBalancer with externalTrafficPolicy Local has one. */
  readonly healthCheckNodePort: number
  /** sessionAffinity ClientIP: for how long. Undefined: none. */
  readonly affinitySeconds: number | undefined
  readonly createdAt: number
  readonly uid: string
}

/** The key of a port in maps: two ports of a Service may differ in protocol alone. */
export function portKey({ id, protocol }: ServicePort): string {
  return `${id}/${protocol}`
}

/** Names the Service for an Event. */
export function regardingService({
  namespace,
  name,
  uid,
}: Pick<ServicePort, 'namespace' | 'name' | 'uid'>): EventRegarding {
  return { apiVersion: 'v1', kind: 'Service', namespace, name, uid }
}

/** It answers on more than its ClusterIP. */
export function isExternallyAccessible({ nodePort, externalIps, loadBalancerIps }: ServicePort): boolean {
  return nodePort !== 0 || externalIps.length > 0 || loadBalancerIps.length > 0
}

/**
 * Some traffic may go to endpoints of any node: pods' and the node's own reaches them through external addresses even
 * with externalTrafficPolicy Local.
 */
export function usesClusterEndpoints(port: ServicePort): boolean {
  return !port.internalLocal || isExternallyAccessible(port)
}

export function usesLocalEndpoints(port: ServicePort): boolean {
  return port.internalLocal || (port.externalLocal && isExternallyAccessible(port))
}
