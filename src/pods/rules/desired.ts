// What iptables should hold for one family: pure.
import { egressRules } from './egress.ts'
import { forwardRules } from './forward.ts'
import { hostPortRules } from './host-ports.ts'
import { localnetRules } from './localnet.ts'
import { noRules, ofFamily, type RuleSet, type RulesInput } from './rule-set.ts'

/** No rules at all for a family that this node's pods have no addresses of. */
export function desiredRules(input: RulesInput): RuleSet {
  if (ofFamily(input.localPodCidrs, input.family).length === 0) return noRules
  const parts = [localnetRules(input), forwardRules(input), hostPortRules(input), egressRules(input)]
  return { chains: parts.flatMap((part) => part.chains), jumps: parts.flatMap((part) => part.jumps) }
}
