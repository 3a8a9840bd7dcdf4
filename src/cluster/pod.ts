// What we keep of a Pod object: frozen, so that two of them can be compared.
import type { Address } from '../net/address.ts'

export interface ClusterPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** spec.nodeName; undefined until the scheduler has chosen. */
  readonly node: string | undefined
  readonly phase: PodPhase
  /** It uses its node's addresses: no attachment, no policy. */
  readonly hostNetwork: boolean
  /** status.podIPs (or podIP), in the order given. Empty until the kubelet has reported; they stay when the pod has finished and the address may be another's. */
  readonly addresses: readonly Address[]
  readonly labels: Readonly<Record<string, string>>
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'
