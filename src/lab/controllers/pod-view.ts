// The part of a Pod that the controllers keep.
import * as z from 'zod'
import { createdAtOf, keyOf } from '../../cluster/kube-object.ts'
import type { EventSubject } from '../event-recorder.ts'
import { namespacedMetadata } from './namespaced-metadata.ts'

export interface PodView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** ms since the epoch. */
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>>
  /** The controlling owner. */
  readonly owner: { readonly kind: string; readonly uid: string } | undefined
  /** '' until it is bound. */
  readonly nodeName: string
  readonly nodeSelector: Readonly<Record<string, string>>
  readonly schedulerName: string
  /** status.podIPs as text; empty until the kubelet has reported them. */
  readonly addresses: readonly string[]
  /** The ports of all containers. */
  readonly ports: readonly ContainerPort[]
  /** Condition Ready is True. */
  readonly ready: boolean
  /** The last transition of the condition Ready, in ms since the epoch; 0 without the condition. */
  readonly readySince: number
  /** Marked for deletion. */
  readonly deleted: boolean
  /** Phase Succeeded or Failed: it does not run again. */
  readonly finished: boolean
  /** The message of the condition PodScheduled while it is False; '' otherwise. */
  readonly unschedulableReason: string
}

export interface ContainerPort {
  /** '' for one without a name. */
  readonly name: string
  readonly containerPort: number
  readonly protocol: string
}

const containerPort = z.object({
  name: z.string().default(''),
  containerPort: z.number(),
  protocol: z.string().default('TCP'),
})

const schema = z.object({
  metadata: namespacedMetadata.extend({
    ownerReferences: z
      .array(z.object({ kind: z.string(), uid: z.string(), controller: z.boolean().default(false) }))
      .default([]),
  }),
  spec: z.object({
    nodeName: z.string().default(''),
    nodeSelector: z.record(z.string(), z.string()).default({}),
    schedulerName: z.string().default('default-scheduler'),
    containers: z.array(z.object({ ports: z.array(containerPort).default([]) })).default([]),
  }),
  status: z
    .object({
      phase: z.string().default('Pending'),
      podIPs: z.array(z.object({ ip: z.string() })).default([]),
      conditions: z
        .array(
          z.object({
            type: z.string(),
            status: z.string(),
            message: z.string().default(''),
            lastTransitionTime: z.string().nullish(),
          }),
        )
        .default([]),
    })
    .prefault({}),
})

export function projectPod(raw: unknown): readonly [key: string, pod: PodView] {
  const { metadata, spec, status } = schema.parse(raw)
  const owner = metadata.ownerReferences.find(({ controller }) => controller)
  const condition = (type: string, is: string) =>
    status.conditions.find((one) => one.type === type && one.status === is)
  const view: PodView = {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    createdAt: createdAtOf({ metadata: { name: metadata.name, creationTimestamp: metadata.creationTimestamp } }),
    labels: metadata.labels,
    owner: owner && { kind: owner.kind, uid: owner.uid },
    nodeName: spec.nodeName,
    nodeSelector: spec.nodeSelector,
    schedulerName: spec.schedulerName,
    addresses: status.podIPs.map(({ ip }) => ip),
    ports: spec.containers.flatMap(({ ports }) => ports),
    ready: condition('Ready', 'True') !== undefined,
    readySince: Date.parse(status.conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? '') || 0,
    deleted: metadata.deletionTimestamp !== undefined,
    finished: status.phase === 'Succeeded' || status.phase === 'Failed',
    unschedulableReason: condition('PodScheduled', 'False')?.message ?? '',
  }
  return [keyOf({ metadata: { name: view.name, namespace: view.namespace } }), Object.freeze(view)]
}

/** Returns the reference to the pod in an Event. */
export function podSubject({ namespace, name, uid }: PodView): EventSubject {
  return { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
}

/** Returns "/api/v1/namespaces/NS/pods/NAME". */
export function podPath({ namespace, name }: Pick<PodView, 'namespace' | 'name'>): string {
  return `/api/v1/namespaces/${namespace}/pods/${name}`
}
