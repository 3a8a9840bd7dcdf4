// What we keep of a Service object: frozen, both families, nothing decided yet. Headless and external-name Services,
// and those of another proxy, are not kept.
import type { Address } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'

export interface ClusterService {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** creationTimestamp in ms: of two Services that claim the same frontend, the older wins. */
  readonly createdAt: number
  readonly type: ServiceType
  /** One a family, at least one. */
  readonly clusterIps: readonly Address[]
  /** No two of them share name and protocol. */
  readonly ports: readonly ClusterServicePort[]
  readonly externalIps: readonly Address[]
  /** status.loadBalancer.ingress[].ip, without those of ipMode Proxy: that traffic goes to the real load balancer. */
  readonly loadBalancerIps: readonly Address[]
  /** spec.loadBalancerSourceRanges; empty where there is no restriction. */
  readonly sourceRanges: readonly Cidr[]
  readonly internalTrafficPolicy: TrafficPolicy
  readonly externalTrafficPolicy: TrafficPolicy
  /** 0 where there is none. */
  readonly healthCheckNodePort: number
  /** sessionAffinity ClientIP: for how long. Undefined: none. */
  readonly affinitySeconds: number | undefined
}

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer'
export type TrafficPolicy = 'Cluster' | 'Local'
export type Protocol = 'tcp' | 'udp' | 'sctp'

export interface ClusterServicePort {
  /** "" where it has none. */
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  /** 0 where there is none. */
  readonly nodePort: number
}
