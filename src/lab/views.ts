// The parts of objects that the lab shows, parsed from responses of the API server.
import * as z from 'zod'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { agentAnnotation } from './layout.ts'

export interface NodeView {
  readonly name: string
  readonly address: string
  /** Empty until the controllers have assigned one. */
  readonly podCidr: string
  readonly ready: boolean
  /** The message of the Ready condition. */
  readonly message: string
  /** Whether the node's agent should run. */
  readonly agent: 'running' | 'stopped'
}

export interface PodView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly node: string
  /** Empty until the pod has one. */
  readonly address: string
  readonly phase: string
  readonly ready: boolean
  readonly deleted: boolean
  /** Why the pod does not run, if the kubelet reported it. */
  readonly message: string
}

const conditions = z
  .array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') }))
  .default([])
const metadata = z.object({
  namespace: z.string().default(''),
  name: z.string(),
  uid: z.string(),
  annotations: z.record(z.string(), z.string()).default({}),
  deletionTimestamp: z.string().optional(),
})
const nodeSchema = z.object({
  metadata,
  spec: z.object({ podCIDR: z.string().default('') }).prefault({}),
  status: z
    .object({ addresses: z.array(z.object({ type: z.string(), address: z.string() })).default([]), conditions })
    .prefault({}),
})
const podSchema = z.object({
  metadata,
  spec: z.object({ nodeName: z.string().default('') }),
  status: z
    .object({
      phase: z.string().default('Pending'),
      podIP: z.string().default(''),
      conditions,
      containerStatuses: z
        .array(
          z.object({
            name: z.string(),
            restartCount: z.number().default(0),
            state: z.object({ waiting: z.object({ reason: z.string().default('') }).optional() }).default({}),
          }),
        )
        .default([]),
    })
    .prefault({}),
})

export async function listNodes(api: ApiConnection): Promise<NodeView[]> {
  const { items } = await api.request<{ items: unknown[] }>('GET', '/api/v1/nodes')
  return items.map(viewNode).toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
}

export async function listPods(api: ApiConnection): Promise<PodView[]> {
  const { items } = await api.request<{ items: unknown[] }>('GET', '/api/v1/pods')
  return items.map(viewPod).toSorted((a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name))
}

export function viewNode(raw: unknown): NodeView {
  const { metadata, spec, status } = nodeSchema.parse(raw)
  const condition = status.conditions.find(({ type }) => type === 'Ready')
  return {
    name: metadata.name,
    address: status.addresses.find(({ type }) => type === 'InternalIP')?.address ?? '',
    podCidr: spec.podCIDR,
    ready: condition?.status === 'True',
    message: condition?.message ?? 'its kubelet has not reported yet',
    agent: metadata.annotations[agentAnnotation] === 'stopped' ? 'stopped' : 'running',
  }
}

export function viewPod(raw: unknown): PodView {
  const { metadata, spec, status } = podSchema.parse(raw)
  const waiting = status.containerStatuses.flatMap(({ name, restartCount, state }) =>
    state.waiting === undefined ? [] : [`${name}: ${state.waiting.reason}, started ${restartCount + 1} times`],
  )
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    node: spec.nodeName,
    address: status.podIP,
    phase: status.phase,
    ready: status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    deleted: metadata.deletionTimestamp !== undefined,
    message: status.conditions.find(({ message }) => message !== '')?.message ?? waiting.join(', '),
  }
}
