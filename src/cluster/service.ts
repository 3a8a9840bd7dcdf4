// The part of a Service object that we keep: frozen, both families, without any decision. Headless and ExternalName
// Services, and those of another proxy, are not kept.
import type { Address } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'

export interface ClusterService {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** creationTimestamp in ms since the epoch: when two Services claim the same frontend, the older wins. */
  readonly createdAt: number
  readonly type: ServiceType
  /** At most one of each family, at least one. */
  readonly clusterIps: readonly Address[]
  /** No two have the same name and protocol. */
  readonly ports: readonly ClusterServicePort[]
  readonly externalIps: readonly Address[]
  /** status.loadBalancer.ingress[].ip, except with ipMode Proxy, whose traffic must pass the real load balancer. */
  readonly loadBalancerIps: readonly Address[]
  /** spec.loadBalancerSourceRanges; empty when there is no restriction. */
  readonly sourceRanges: readonly Cidr[]
  readonly internalTrafficPolicy: TrafficPolicy
  readonly externalTrafficPolicy: TrafficPolicy
  /** 0 when there is none. */
  readonly healthCheckNodePort: number
  /** Seconds of sessionAffinity ClientIP; undefined when there is no affinity. */
  readonly affinitySeconds: number | undefined
}

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer'
export type TrafficPolicy = 'Cluster' | 'Local'
export type Protocol = 'tcp' | 'udp' | 'sctp'

export interface ClusterServicePort {
  /** "" when it has none. */
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  /** 0 when there is none. */
  readonly nodePort: number
}
