// What iptables should hold for one family, put together from what each port asks for: pure.
import type { Rule } from '../iptables/rule.ts'
import type { Problem } from '../cluster/problem.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import { byPrecedence, settleClaims } from './claims.ts'
import { nodePortJumps } from './node-ports.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import type { DesiredRules, FilterChain, Frontend, FrontendLayout, RenderedPort } from './rendered.ts'
import { staticFilterChains, staticNatChains, unassignedRules } from './static-chains.ts'

export interface Desired {
  readonly rules: DesiredRules
  /** Those whose rules are written, in the order of precedence. */
  readonly frontends: readonly Frontend[]
  readonly problems: readonly Problem[]
}

/** All ports' rules and those that depend on none. @param rendered in any order */
export function assembleRules(
  rendered: readonly RenderedPort[],
  { options, node, needed }: { options: ServicesOptions; node: NodeFacts; needed: ProtectedPorts },
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
