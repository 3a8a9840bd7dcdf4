// What iptables should hold for one family: pure. A sync calls the parts, so as to render again only what changed; here
// they are in one piece.
import type { Rule } from '../iptables/rule.ts'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { Problem } from '../cluster/problem.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { ClusterService } from '../cluster/service.ts'
import { byPrecedence, settleClaims } from './claims.ts'
import { endpointsOf } from './endpoints.ts'
import { nodePortJumps } from './node-ports.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import { isLargeCluster } from './render-context.ts'
import { renderServicePort } from './render-service-port.ts'
import type { DesiredRules, EndpointLayout, FilterChain, Frontend, FrontendLayout, RenderedPort } from './rendered.ts'
import { servicePortsOf } from './service-ports.ts'
import { staticFilterChains, staticNatChains, unassignedRules } from './static-chains.ts'

export interface ServicesSnapshot {
  readonly services: Iterable<ClusterService>
  readonly slices: Iterable<ClusterEndpointSlice>
  readonly options: ServicesOptions
  readonly node: NodeFacts
  /** What no Service gets. */
  readonly needed: ProtectedPorts
}

export interface Layouts {
  readonly endpoints: EndpointLayout
  readonly frontends: FrontendLayout
}

export interface Desired {
  readonly rules: DesiredRules
  /** Those whose rules are written, in the order of precedence. */
  readonly frontends: readonly Frontend[]
  readonly problems: readonly Problem[]
}

export function desiredRules({ services, slices, options, node, needed }: ServicesSnapshot, layouts: Layouts): Desired {
  const slicesOf = Map.groupBy(slices, ({ namespace, service }) => `${namespace}/${service}`)
  const ports = [...services].flatMap((service) => servicePortsOf(service, node.family))
  const joined = ports.map((port) => ({
    port,
    endpoints: endpointsOf(port, slicesOf.get(`${port.namespace}/${port.name}`) ?? [], node.name),
  }))
  const largeCluster = isLargeCluster(joined.reduce((sum, { endpoints }) => sum + endpoints.length, 0))
  const rendered = joined.map(({ port, endpoints }) =>
    renderServicePort(port, endpoints, { options, node, largeCluster, endpointLayout: layouts.endpoints }),
  )
  return assembleRules(rendered, { options, node, needed }, layouts.frontends)
}

/** All ports' rules and those that depend on none. @param rendered in any order */
export function assembleRules(
  rendered: readonly RenderedPort[],
  { options, node, needed }: Pick<ServicesSnapshot, 'options' | 'node' | 'needed'>,
  layoutFrontends: FrontendLayout,
): Desired {
  const ports = rendered.toSorted((a, b) => byPrecedence(a.port, b.port))
  const { frontends, filter, problems } = settleClaims(ports, needed)
  const nat = new Map<string, readonly Rule[]>(staticNatChains(options))
  for (const { chains } of ports) for (const [name, rules] of chains) nat.set(name, rules)
  for (const [name, rules] of layoutFrontends(frontends, options)) nat.set(name, rules)
  nat.set('KUBE-SERVICES', [...(nat.get('KUBE-SERVICES') ?? []), ...nodePortJumps(options, node)])
  const rulesIn = (name: FilterChain): readonly Rule[] =>
    filter.filter(({ chain }) => chain === name).map(({ rule }) => rule)
  const filters = new Map<string, readonly Rule[]>(staticFilterChains(options, node))
  for (const name of ['KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES', 'KUBE-NODEPORTS', 'KUBE-PROXY-FIREWALL'] as const)
    filters.set(name, rulesIn(name))
  filters.set('KUBE-SERVICES', [...rulesIn('KUBE-SERVICES'), ...unassignedRules(options, node)])
  return { rules: { filter: filters, nat }, frontends, problems }
}
