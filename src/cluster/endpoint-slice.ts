// The part of an EndpointSlice object that we keep, frozen so that two values can be compared. Slices of headless
// Services and of host names (FQDN) are not kept.
import type { Address, Family } from '../net/address.ts'
import type { Protocol } from './service.ts'

export interface ClusterEndpointSlice {
  readonly namespace: string
  readonly name: string
  /** The label kubernetes.io/service-name: a Service of the same namespace, which may not exist. */
  readonly service: string
  readonly family: Family
  readonly ports: readonly SlicePort[]
  readonly endpoints: readonly SliceEndpoint[]
  /**
   * The annotation endpoints.kubernetes.io/last-change-trigger-time in ms since the epoch: the time of the pod or
   * Service change that made the controller write this slice.
   */
  readonly changeTriggeredAt: number | undefined
}

export interface SlicePort {
  /** The name of the Service port that this port implements; "" for an unnamed one. */
  readonly name: string
  readonly protocol: Protocol
  /** The port that pods listen on. When a named targetPort differs between pods, each number has a slice of its own. */
  readonly port: number
}

export interface SliceEndpoint {
  readonly address: Address
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  readonly node: string | undefined
  /** Zone names of hints.forZones and node names of hints.forNodes; empty when there are none. */
  readonly zoneHints: readonly string[]
  readonly nodeHints: readonly string[]
}
