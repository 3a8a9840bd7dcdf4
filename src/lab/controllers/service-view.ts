// The part of a Service that the controllers keep.
import * as z from 'zod'
import { createdAtOf, keyOf } from '../../cluster/kube-object.ts'
import { namespacedMetadata } from './namespaced-metadata.ts'

export interface ServiceView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** ms since the epoch. */
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>>
  readonly deleted: boolean
  readonly type: string
  /** Undefined when the Service has no selector: its slices are managed by others. */
  readonly selector: Readonly<Record<string, string>> | undefined
  /** Without a ClusterIP: clients look up its endpoints by DNS. */
  readonly headless: boolean
  readonly ports: readonly ServicePortView[]
  readonly families: readonly AddressType[]
  readonly publishNotReady: boolean
  /** '' when no endpoint is preferred. */
  readonly trafficDistribution: string
  readonly externalLocal: boolean
  /** '' for the cluster's default load balancer. */
  readonly loadBalancerClass: string
  /** Addresses in its status. */
  readonly loadBalancerAddresses: readonly string[]
}

export interface ServicePortView {
  readonly name: string
  readonly protocol: string
  readonly port: number
  /** A number, or the name of a container's port. */
  readonly targetPort: number | string
  readonly appProtocol?: string | undefined
}

export type AddressType = 'IPv4' | 'IPv6'

const servicePort = z.object({
  name: z.string().default(''),
  protocol: z.string().default('TCP'),
  port: z.number(),
  targetPort: z.union([z.number(), z.string()]).optional(),
  appProtocol: z.string().optional(),
})

const schema = z.object({
  metadata: namespacedMetadata,
  spec: z.object({
    type: z.string().default('ClusterIP'),
    selector: z.record(z.string(), z.string()).nullish(),
    clusterIP: z.string().default(''),
    ports: z.array(servicePort).default([]),
    ipFamilies: z.array(z.enum(['IPv4', 'IPv6'])).default(['IPv4']),
    publishNotReadyAddresses: z.boolean().default(false),
    trafficDistribution: z.string().default(''),
    externalTrafficPolicy: z.string().default('Cluster'),
    loadBalancerClass: z.string().default(''),
  }),
  status: z
    .object({
      loadBalancer: z.object({ ingress: z.array(z.object({ ip: z.string().default('') })).default([]) }).prefault({}),
    })
    .prefault({}),
})

export function projectService(raw: unknown): readonly [key: string, service: ServiceView] {
  const { metadata, spec, status } = schema.parse(raw)
  const { name, namespace, uid, labels, creationTimestamp, deletionTimestamp } = metadata
  const { type, selector, ports, ipFamilies, publishNotReadyAddresses, trafficDistribution, loadBalancerClass } = spec
  const view: ServiceView = {
    namespace,
    name,
    uid,
    createdAt: createdAtOf({ metadata: { name, creationTimestamp } }),
    labels,
    deleted: deletionTimestamp !== undefined,
    type,
    selector: selector && Object.keys(selector).length > 0 ? selector : undefined,
    headless: spec.clusterIP === 'None',
    ports: ports.map(({ targetPort, ...port }) => ({ ...port, targetPort: targetPort || port.port })),
    families: ipFamilies,
    publishNotReady: publishNotReadyAddresses,
    trafficDistribution,
    externalLocal: spec.externalTrafficPolicy === 'Local',
    loadBalancerClass,
    loadBalancerAddresses: status.loadBalancer.ingress.map(({ ip }) => ip).filter(Boolean),
  }
  return [keyOf({ metadata: { name, namespace } }), Object.freeze(view)]
}

/** Returns "/api/v1/namespaces/NS/services/NAME". */
export function servicePath({ namespace, name }: Pick<ServiceView, 'namespace' | 'name'>): string {
  return `/api/v1/namespaces/${namespace}/services/${name}`
}
