// A Service as the tour needs it, and the KUBE-* rules that a node has for it.
import * as z from 'zod'
import type { NodeName } from '../layout.ts'
import type { Exhibit } from './step.ts'
import { namespace, type Tour } from './tour.ts'

export interface TourService {
  readonly name: string
  readonly clusterIp: string
  /** Of its first port; 0 where it has none. */
  readonly nodePort: number
  readonly loadBalancerIp: string
  /** "IP:PORT" of every endpoint that traffic may go to. */
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

/** The Service as it is now. */
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
 * The Service, once it has so many endpoints and the nodes' rules send to each of them.
 * @throws {Error} when they do not within 10 s.
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
      const followed = await Promise.all(nodes.map(async (node) => await hasFollowed(tour, service, node)))
      return followed.every(Boolean) ? service : undefined
    },
  )
}

async function hasFollowed(tour: Tour, { name, endpoints, clusterIp }: TourService, node: NodeName): Promise<boolean> {
  // Refused, or sent to its endpoints.
  const [table, wanted] =
    endpoints.length === 0
      ? (['filter', [`-d ${clusterIp}/32`]] as const)
      : (['nat', endpoints.map((endpoint) => `--to-destination ${endpoint}`)] as const)
  const { lines } = await serviceRules(tour, node, name, /./, table)
  return wanted.every((part) => lines.some((rule) => rule.endsWith(part) || rule.includes(`${part} `)))
}

/** The rules that say they are a Service's. @param match which of them. */
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

/** A rule whose comment names the Service: "tour/web", "tour/web:http cluster IP". */
function isOf(name: string): RegExp {
  return new RegExp(String.raw`(^|[ "])${namespace}/${name}[ :"]`)
}
