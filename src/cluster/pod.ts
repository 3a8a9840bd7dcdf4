// The part of a Pod object that we keep, frozen so that two values can be compared.
import type { Address } from '../net/address.ts'
import type { Labels } from './label-selector.ts'
import type { Protocol } from './service.ts'

export interface ClusterPod {
  readonly namespace: string
  readonly name: string
  /** The uid that the kubelet and the runtime use: for a mirror pod, the uid of its static pod. */
  readonly uid: string
  /** spec.nodeName; undefined until the scheduler has chosen. */
  readonly node: string | undefined
  readonly phase: PodPhase
  /** The pod uses the addresses of its node: it has no attachment, and no policy applies to it. */
  readonly hostNetwork: boolean
  /**
   * One of its containers may change the pod's network: it is privileged or has the capability NET_ADMIN. An init
   * container counts too, because what it has changed stays.
   */
  readonly netAdmin: boolean
  /**
   * status.podIPs (or podIP), in the order given. Empty until the kubelet has reported them. They stay after the pod
   * has finished, when another pod may already have the address.
   */
  readonly addresses: readonly Address[]
  readonly labels: Labels
  /** Container ports with a name, which policies refer to. */
  readonly ports: readonly ContainerPort[]
}

export interface ContainerPort {
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'
