// What we keep of an EndpointSlice object: frozen, so that two of them can be compared. Those of headless Services and
// of host names are not kept.
import type { Address, Family } from '../net/address.ts'
import type { Protocol } from './service.ts'

export interface ClusterEndpointSlice {
  readonly namespace: string
  readonly name: string
  /** The label kubernetes.io/service-name: a Service of the same namespace, there or not. */
  readonly service: string
  readonly family: Family
  readonly ports: readonly SlicePort[]
  readonly endpoints: readonly SliceEndpoint[]
  /**
   * The annotation endpoints.kubernetes.io/last-change-trigger-time in ms: when the pod or Service changed that made
   * the controller write this.
   */
  readonly changeTriggeredAt: number | undefined
}

export interface SlicePort {
  /** The name of the Service's port it stands for: "" where that has none. */
  readonly name: string
  readonly protocol: Protocol
  /** Where the pods listen. Named targetPorts that differ per pod come as slices with different numbers. */
  readonly port: number
}

export interface SliceEndpoint {
  readonly address: Address
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  readonly node: string | undefined
  /** hints.forZones and hints.forNodes: names. Empty where there are none. */
  readonly zoneHints: readonly string[]
  readonly nodeHints: readonly string[]
}
