// What GET /lookup?of=X&of=Y on the agent's socket answers: what the cluster has by these names or addresses. Written
// by the agent, read by `fairlead trace`, which may be of another version.
import * as z from 'zod'
import type { LabelSelector } from '../cluster/label-selector.ts'
import { parseAddress } from '../net/address.ts'

const address = z.string().transform(parseAddress)
const protocol = z.enum(['tcp', 'udp', 'sctp'])
const cidr = z.object({ family: z.union([z.literal(4), z.literal(6)]), network: address, prefix: z.number() })
const selector: z.ZodType<LabelSelector> = z.array(
  z.object({
    key: z.string(),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(z.string()),
  }),
)
const peer = z.union([
  z.object({ cidr, except: z.array(cidr) }),
  z.object({ namespaces: selector.optional().transform((given) => given), pods: selector }),
])
const port = z.union([
  z.object({ protocol, first: z.number(), last: z.number() }),
  z.object({ protocol, name: z.string() }),
])
const rule = z.object({
  peers: z
    .array(peer)
    .optional()
    .transform((given) => given),
  ports: z
    .array(port)
    .optional()
    .transform((given) => given),
})
/** Policies that select the pod; `held` while its labels are not known; without one, the pod is open. */
const isolation = z.union([z.literal('held'), z.array(z.object({ name: z.string(), rules: z.array(rule) }))]).optional()

const labels = z.record(z.string(), z.string())

const pod = z.object({
  namespace: z.string(),
  name: z.string(),
  node: z.string().optional(),
  phase: z.string(),
  hostNetwork: z.boolean(),
  addresses: z.array(address),
  labels,
  ports: z.array(z.object({ name: z.string(), protocol, port: z.number() })),
  namespaceLabels: labels.optional(),
  ingress: isolation,
  egress: isolation,
})

const service = z.object({
  namespace: z.string(),
  name: z.string(),
  type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']),
  clusterIps: z.array(address),
  externalIps: z.array(address),
  loadBalancerIps: z.array(address),
  ports: z.array(z.object({ name: z.string(), protocol, port: z.number(), nodePort: z.number() })),
})

export const lookupShape = z.array(
  z.object({
    of: z.string(),
    pods: z.array(pod),
    services: z.array(service),
    /** Names. */
    nodes: z.array(z.string()),
    /** Whether pods of other nodes are among those that are known: else nothing follows from there being none. */
    allPods: z.boolean().default(false),
    /** Where nothing is called so: names that come near it. */
    near: z.array(z.string()),
  }),
)

export type Found = z.output<typeof lookupShape>[number]
export type FoundPod = Found['pods'][number]
export type FoundService = Found['services'][number]
export type FoundText = z.input<typeof lookupShape>[number]
