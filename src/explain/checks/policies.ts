// NetworkPolicies that protect less than they seem to.
import type { Check } from '../check.ts'
import { withoutAgent } from '../check.ts'
import type { NodeFacts } from '../node-facts.ts'

export function examinePolicies({ agent }: NodeFacts): Check {
  const base = { name: 'NetworkPolicies', seenAs: 'pods that a policy was written for and that it does not cover' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  return { ...base, findings: agent.idlePolicies.map(({ problem, remedy }) => ({ problem, remedy })) }
}
