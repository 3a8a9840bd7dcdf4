// The part of an EndpointSlice that the endpoint slice controller keeps: everything that it writes, so that it can tell
// whether a write is needed.
import * as z from 'zod'
import { keyOf } from '../../cluster/kube-object.ts'

export interface SliceEndpoint {
  readonly addresses: readonly string[]
  readonly conditions: { readonly ready: boolean; readonly serving: boolean; readonly terminating: boolean }
  readonly targetRef: { readonly kind: string; readonly namespace: string; readonly name: string; readonly uid: string }
  readonly nodeName?: string | undefined
  readonly zone?: string | undefined
  readonly hints?:
    | {
        readonly forZones?: readonly { readonly name: string }[] | undefined
        readonly forNodes?: readonly { readonly name: string }[] | undefined
      }
    | undefined
}

export interface SlicePort {
  readonly name: string
  readonly protocol: string
  readonly port: number
  readonly appProtocol?: string | undefined
}

export interface SliceView {
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  readonly labels: Readonly<Record<string, string>>
  /** The uid of the Service that owns the slice; '' when none does. */
  readonly serviceUid: string
  readonly addressType: string
  readonly ports: readonly SlicePort[]
  readonly endpoints: readonly SliceEndpoint[]
}

export const managedByLabel = 'endpointslice.kubernetes.io/managed-by'
export const serviceNameLabel = 'kubernetes.io/service-name'
/** The name of the real controller, so that a real control plane and the lab take over each other's slices. */
export const manager = 'endpointslice-controller.k8s.io'
export const triggerTimeAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time'

const named = z.array(z.object({ name: z.string() })).optional()
const condition = z.boolean().default(false)
const reference = z
  .object({
    kind: z.string().default(''),
    namespace: z.string().default(''),
    name: z.string().default(''),
    uid: z.string().default(''),
  })
  .prefault({})
const schema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    resourceVersion: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    ownerReferences: z.array(z.object({ kind: z.string(), uid: z.string() })).default([]),
  }),
  addressType: z.string(),
  ports: z
    .array(
      z.object({
        name: z.string().default(''),
        protocol: z.string().default('TCP'),
        port: z.number(),
        appProtocol: z.string().optional(),
      }),
    )
    .nullish(),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()),
        conditions: z.object({ ready: condition, serving: condition, terminating: condition }).prefault({}),
        targetRef: reference,
        nodeName: z.string().optional(),
        zone: z.string().optional(),
        hints: z.object({ forZones: named, forNodes: named }).optional(),
      }),
    )
    .nullish(),
})

export function projectSlice(raw: unknown): readonly [key: string, slice: SliceView] {
  const { metadata, addressType, ports, endpoints } = schema.parse(raw)
  const { name, namespace, resourceVersion, labels, ownerReferences } = metadata
  const serviceUid = ownerReferences.find(({ kind }) => kind === 'Service')?.uid ?? ''
  return [
    keyOf({ metadata: { name, namespace } }),
    Object.freeze({
      namespace,
      name,
      resourceVersion,
      labels,
      serviceUid,
      addressType,
      ports: ports ?? [],
      endpoints: endpoints ?? [],
    }),
  ]
}

export function slicesPath(namespace: string): string {
  return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
}
