// The part of a Deployment that the deployment controller keeps.
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { keyOf } from '../../cluster/kube-object.ts'

export interface DeploymentView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly generation: number
  readonly deleted: boolean
  readonly replicas: number
  /** Strategy Recreate: all old pods must be gone before new ones are created. */
  readonly recreate: boolean
  /** The number of pods that a rolling update may have above `replicas`. */
  readonly maxSurge: number
  /** The number of unready pods that a rolling update may have; never zero together with maxSurge. */
  readonly maxUnavailable: number
  readonly template: PodTemplate
  /** The value of the label pod-template-hash, which identifies pods of this template. */
  readonly templateHash: string
  readonly status: DeploymentStatus
}

export interface PodTemplate {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>
    readonly annotations: Readonly<Record<string, string>>
  }
  readonly spec: Readonly<Record<string, unknown>>
}

export interface DeploymentStatus {
  readonly observedGeneration: number
  readonly replicas: number
  readonly updatedReplicas: number
  readonly readyReplicas: number
  readonly availableReplicas: number
  readonly unavailableReplicas: number
}

const count = z.number().default(0)
/** A number of pods, or "25%" of the replicas. */
const share = z.union([z.number(), z.string().regex(/^\d+%$/)])

const schema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    generation: count,
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.object({
    replicas: z.number().default(1),
    strategy: z
      .object({
        type: z.string().default('RollingUpdate'),
        rollingUpdate: z.object({ maxSurge: share.default('25%'), maxUnavailable: share.default('25%') }).prefault({}),
      })
      .prefault({}),
    template: z.object({
      metadata: z
        .object({
          labels: z.record(z.string(), z.string()).default({}),
          annotations: z.record(z.string(), z.string()).default({}),
        })
        .prefault({}),
      spec: z.record(z.string(), z.unknown()),
    }),
  }),
  status: z
    .object({
      observedGeneration: count,
      replicas: count,
      updatedReplicas: count,
      readyReplicas: count,
      availableReplicas: count,
      unavailableReplicas: count,
    })
    .prefault({}),
})

export function projectDeployment(raw: unknown): readonly [key: string, deployment: DeploymentView] {
  const { metadata, spec, status } = schema.parse(raw)
  const { namespace, name, uid, generation, deletionTimestamp } = metadata
  const { rollingUpdate, type } = spec.strategy
  const maxSurge = sharesOf(rollingUpdate.maxSurge, spec.replicas, Math.ceil)
  const maxUnavailable = sharesOf(rollingUpdate.maxUnavailable, spec.replicas, Math.floor)
  const view: DeploymentView = {
    namespace,
    name,
    uid,
    generation,
    deleted: deletionTimestamp !== undefined,
    replicas: spec.replicas,
    recreate: type === 'Recreate',
    maxSurge,
    maxUnavailable: maxSurge === 0 ? Math.max(1, maxUnavailable) : maxUnavailable,
    template: spec.template,
    templateHash: hashOf(spec.template),
    status,
  }
  return [keyOf({ metadata: { name, namespace } }), Object.freeze(view)]
}

function sharesOf(value: number | string, replicas: number, round: (value: number) => number): number {
  return typeof value === 'number' ? value : round((Number.parseInt(value, 10) * replicas) / 100)
}

/** Hashes a value to ten characters that form no words. The order of fields does not matter. */
export function hashOf(value: unknown): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789'
  const digest = createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest()
  return [...digest.subarray(0, 10)].map((byte) => alphabet[byte % alphabet.length]).join('')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => sorted(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  )
}
