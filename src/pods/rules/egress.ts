// A pod's packet to the world gets the node's address, since nobody out there has a route to the pod.
//
// The walk: pod -> bridge -> routed out of the node's uplink -> nat POSTROUTING -> FAIRLEAD-EGRESS. What kube-proxy has
// marked returns, for KUBE-POSTROUTING to masquerade. What stays in the pod networks returns and keeps its address:
// pods see each other without NAT, on this node and on others. So does what the operator exempted, and multicast, which
// has no reply to un-NAT. The rest, if it comes from a pod of this node, is masqueraded. Other nodes' own addresses are
// among the rest, as with flannel: a node that got the pod's own address would answer through the overlay and rp_filter
// could drop it.
import { aggregateCidrs, parseCidr } from '../../net/cidr.ts'
import { kubeMasqueradeMark } from './marks.ts'
import { comment, from, noRules, ofFamily, rule, type RuleSet, type RulesInput, to } from './rule-set.ts'

const name = 'FAIRLEAD-EGRESS'
const multicast = { 4: parseCidr('224.0.0.0/4'), 6: parseCidr('ff00::/8') }

export function egressRules(input: RulesInput): RuleSet {
  if (!input.masquerade) return noRules
  const { family } = input
  const local = ofFamily(input.localPodCidrs, family)
  const podNetworks = aggregateCidrs(ofFamily([...input.podNetworks, ...input.localPodCidrs], family))
  const exempt = aggregateCidrs(ofFamily(input.nonMasqueradeCidrs, family))
  const rules = [
    rule(name, `-m mark --mark ${kubeMasqueradeMark}`, comment('kube-proxy masquerades these'), '-j RETURN'),
    ...podNetworks.map((cidr) => rule(name, to(cidr), comment('between pods'), '-j RETURN')),
    ...exempt.map((cidr) => rule(name, to(cidr), comment('exempt by nonMasqueradeCIDRs'), '-j RETURN')),
    rule(name, to(multicast[family]), '-j RETURN'),
    ...aggregateCidrs(local).map((cidr) =>
      rule(name, from(cidr), comment('from pods of this node'), '-j MASQUERADE --random-fully'),
    ),
  ]
  return {
    chains: [{ table: 'nat', name, rules, order: 'sequence' }],
    jumps: [
      {
        table: 'nat',
        base: 'POSTROUTING',
        target: name,
        rule: rule('POSTROUTING', comment('fairlead egress'), `-j ${name}`),
        place: 'last',
      },
    ],
  }
}
