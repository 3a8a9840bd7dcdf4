// What we keep of a Pod object: frozen, so that two of them can be compared.
import type { Address } from '../net/address.ts'
import type { Labels } from './label-selector.ts'
import type { Protocol } from './service.ts'

export interface ClusterPod {
  readonly namespace: string
  readonly name: string
  /** As the kubelet knows it and runtimes are told: for the mirror of a static pod that pod's own, not the mirror's. */
  readonly uid: string
  /** spec.nodeName; undefined until the scheduler has chosen. */
  readonly node: string | undefined
  readonly phase: PodPhase
  /** It uses its node's addresses: no attachment, no policy. */
  readonly hostNetwork: boolean
  /**
   * status.podIPs (or podIP), in the order given. Empty until the kubelet has reported; they stay when the pod has
   * finished and the address may be another's.
   */
  readonly addresses: readonly Address[]
  readonly labels: Labels
  /** Container ports that have a name, by which policies refer to them. */
  readonly ports: readonly ContainerPort[]
}

export interface ContainerPort {
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'
