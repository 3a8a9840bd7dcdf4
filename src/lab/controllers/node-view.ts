// The part of a Node that the controllers keep.
import * as z from 'zod'
import { keyOf } from '../../cluster/kube-object.ts'

export interface NodeView {
  readonly name: string
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  /** The InternalIP as text; '' until the kubelet has reported it. */
  readonly address: string
  /** Condition Ready is True. */
  readonly ready: boolean
  /** Cordoned: no new pods. */
  readonly unschedulable: boolean
  /** The number of pods that the node takes; by default 110. */
  readonly podCapacity: number
  /** As text, because a value may be outside the cluster CIDR or invalid. */
  readonly podCidrs: readonly string[]
}

const schema = z.object({
  metadata: z.object({ name: z.string(), uid: z.string(), labels: z.record(z.string(), z.string()).default({}) }),
  spec: z
    .object({
      podCIDR: z.string().default(''),
      podCIDRs: z.array(z.string()).default([]),
      unschedulable: z.boolean().default(false),
    })
    .prefault({}),
  status: z
    .object({
      addresses: z.array(z.object({ type: z.string(), address: z.string() })).default([]),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
      allocatable: z.object({ pods: z.coerce.number().default(110) }).prefault({}),
    })
    .prefault({}),
})

export function projectNode(raw: unknown): readonly [key: string, node: NodeView] {
  const { metadata, spec, status } = schema.parse(raw)
  const view = {
    ...metadata,
    address: status.addresses.find(({ type }) => type === 'InternalIP')?.address ?? '',
    ready: status.conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
    unschedulable: spec.unschedulable,
    podCapacity: status.allocatable.pods,
    podCidrs: spec.podCIDRs.length > 0 ? spec.podCIDRs : [spec.podCIDR].filter(Boolean),
  }
  return [keyOf({ metadata }), Object.freeze(view)]
}
