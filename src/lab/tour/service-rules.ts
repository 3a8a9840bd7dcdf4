// Reads a Service of the tour, and shows a node's KUBE-* rules for it.
import * as z from 'zod'
import type { NodeName } from '../layout.ts'
import type { Exhibit } from './step.ts'
import { namespace, type Tour } from './tour.ts'

export interface TourService {
  readonly name: string
  readonly clusterIp: string
  /** The node port of its first port; 0 when there is none. */
  readonly nodePort: number
  readonly loadBalancerIp: string
  /** "IP:PORT" of each ready endpoint. */
  readonly endpoints: readonly string[]
}

const serviceSchema = z.object({
  spec: z.object({ clusterIP: z.string(), ports: z.array(z.object({ nodePort: z.number().default(0) })) }),
  status: z
    .object({ loadBalancer: z.object({ ingress: z.array(z.object({ ip: z.string() })).default([]) }).prefault({}) })
    .prefault({}),
})
const slicesSchema = z.object({
  items: z.array(
    z.object({
      ports: z.array(z.object({ port: z.number() })).nullish(),
      endpoints: z
        .array(
          z.object({
            addresses: z.array(z.string()),
            conditions: z.object({ ready: z.boolean().default(true) }).default({ ready: true }),
          }),
        )
        .nullish(),
    }),
  ),
})

/** Reads the current state of the Service. */
export async function readService(tour: Tour, name: string): Promise<TourService> {
  const { spec, status } = serviceSchema.parse(
    await tour.api.request('GET', `/api/v1/namespaces/${namespace}/services/${name}`),
  )
  const slices = slicesSchema.parse(
    await tour.api.request('GET', `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`, {
      query: { labelSelector: `kubernetes.io/service-name=${name}` },
    }),
  )
  const endpoints = slices.items.flatMap(({ ports, endpoints }) =>
    (endpoints ?? [])
      .filter(({ conditions }) => conditions.ready)
      .flatMap(({ addresses }) => (ports ?? []).map(({ port }) => `${addresses[0]}:${port}`)),
  )
  return {
    name,
    clusterIp: spec.clusterIP,
    nodePort: spec.ports[0]?.nodePort ?? 0,
    loadBalancerIp: status.loadBalancer.ingress[0]?.ip ?? '',
    endpoints,
  }
}

/**
 * Waits until the Service has this many endpoints, and the rules of the nodes lead to each of them.
 * @throws {Error} when that is not the case within 10 s.
 */
export async function settledService(
  tour: Tour,
  name: string,
  endpoints: number,
  nodes: readonly NodeName[] = ['node1', 'node2'],
): Promise<TourService> {
  return await tour.eventually(
    `Service ${name} has ${endpoints} endpoints, and rules on ${nodes.join(' and ')} that lead to them`,
    async () => {
      const service = await readService(tour, name)
      if (service.endpoints.length !== endpoints) return undefined
      const programmed = await Promise.all(nodes.map(async (node) => await isProgrammed(tour, service, node)))
      return programmed.every(Boolean) ? service : undefined
    },
  )
}

async function isProgrammed(tour: Tour, { name, endpoints, clusterIp }: TourService, node: NodeName): Promise<boolean> {
  // Without endpoints a filter rule rejects, otherwise nat rules lead to each endpoint.
  const [table, wanted] =
    endpoints.length === 0
      ? (['filter', [`-d ${clusterIp}/32`]] as const)
      : (['nat', endpoints.map((endpoint) => `--to-destination ${endpoint}`)] as const)
  const { lines } = await serviceRules(tour, node, name, /./, table)
  return wanted.every((part) => lines.some((rule) => rule.endsWith(part) || rule.includes(`${part} `)))
}

/**
 * Shows the rules whose comments name a Service.
 * @param match keeps only matching rules.
 */
export async function serviceRules(
  tour: Tour,
  node: NodeName,
  name: string,
  match = /./,
  table: 'nat' | 'filter' = 'nat',
): Promise<Exhibit> {
  const exhibit = await tour.show(node, ['iptables', '-w', '-t', table, '-S'], isOf(name))
  return { ...exhibit, lines: exhibit.lines.filter((line) => match.test(line)) }
}

/** Matches a rule whose comment names the Service: "tour/web", "tour/web:http cluster IP". */
function isOf(name: string): RegExp {
  return new RegExp(String.raw`(^|[ "])${namespace}/${name}[ :"]`)
}
