// All rules of one family at once, from the same renderer that an agent keeps up to date: for `fairlead render`, tests
// and benchmarks.
import type { Rule } from '../iptables/rule.ts'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { Problem } from '../cluster/problem.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { ClusterService } from '../cluster/service.ts'
import { order } from './claims.ts'
import { FamilyRules, type Target } from './family-rules.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import type { DesiredRules } from './rendered.ts'

export interface ServicesSnapshot {
  readonly services: Iterable<ClusterService>
  readonly slices: Iterable<ClusterEndpointSlice>
  readonly options: ServicesOptions
  readonly node: NodeFacts
  /** What no Service gets. */
  readonly needed: ProtectedPorts
}

/** Renders a snapshot: pure. Services, slices and endpoints may come in any order. */
export function renderSnapshot({ services, slices, options, node, needed }: ServicesSnapshot): {
  readonly rules: DesiredRules
  readonly problems: readonly Problem[]
} {
  const slicesOf = Map.groupBy(slices, ({ namespace, service }) => `${namespace}/${service}`)
  const chains = { filter: new Map<string, readonly Rule[]>(), nat: new Map<string, readonly Rule[]>() }
  const target: Target = {
    held: () => [],
    want: (table, wanted) => {
      for (const [chain, rules] of wanted) if (table === 'filter' || table === 'nat') chains[table].set(chain, rules)
    },
    unwant: (table, unwanted) => {
      for (const chain of unwanted) if (table === 'filter' || table === 'nat') chains[table].delete(chain)
    },
  }
  const sorted = [...services].toSorted(
    (a, b) => a.createdAt - b.createdAt || order(a.namespace, b.namespace) || order(a.name, b.name),
  )
  const byKey = new Map(sorted.map((service) => [`${service.namespace}/${service.name}`, service]))
  const rules = new FamilyRules({
    target,
    sources: { services: byKey, slicesOf: (key) => slicesOf.get(key) ?? [] },
  })
  rules.protect(needed)
  for (const _ of rules.update(byKey.keys(), options, node)) continue
  return { rules: chains, problems: rules.problems }
}
