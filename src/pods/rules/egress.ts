// A pod's packet to the world gets the node's address, since nobody out there has a route to the pod.
//
// The walk: pod -> bridge -> routed out of the node's uplink -> nat POSTROUTING -> FAIRLEAD-EGRESS. What kube-proxy has
// marked returns, for KUBE-POSTROUTING to masquerade. What stays in the pod networks returns and keeps its address:
// pods see each other without NAT, on this node and on others. So does what the operator exempted, and multicast, which
// has no reply to un-NAT. The rest, if it comes from a pod of this node, is masqueraded. Other nodes' own addresses are
// among the rest, as with flannel: a node that got the pod's own address would answer through the overlay and rp_filter
// could drop it.
import { comment, jump, markIs, masquerade, returns, to } from '../../iptables/matches.ts'
import { rule } from '../../iptables/rule.ts'
import { aggregateCidrs, parseCidr } from '../../net/cidr.ts'
import { kubeMasqueradeMark } from './marks.ts'
import { fromBlock, noRules, ofFamily, type RuleSet, type RulesInput, toBlock } from './rule-set.ts'

const chain = 'FAIRLEAD-EGRESS'
const multicast = { 4: parseCidr('224.0.0.0/4'), 6: parseCidr('ff00::/8') }

export function egressRules(input: RulesInput): RuleSet {
  if (!input.masquerade) return noRules
  const { family } = input
  const local = ofFamily(input.localPodCidrs, family)
  const podNetworks = aggregateCidrs(ofFamily([...input.podNetworks, ...input.localPodCidrs], family))
  const exempt = aggregateCidrs(ofFamily(input.nonMasqueradeCidrs, family))
  const rules = [
    rule(markIs(kubeMasqueradeMark), comment('kube-proxy masquerades these'), returns),
    ...podNetworks.map((cidr) => rule(toBlock(cidr), comment('between pods'), returns)),
    ...exempt.map((cidr) => rule(toBlock(cidr), comment('exempt by nonMasqueradeCIDRs'), returns)),
    rule(to(multicast[family]), returns),
    ...aggregateCidrs(local).map((cidr) => rule(fromBlock(cidr), comment('from pods of this node'), masquerade)),
  ]
  return {
    chains: [{ table: 'nat', chain, rules }],
    jumps: [
      {
        table: 'nat',
        base: 'POSTROUTING',
        rule: rule(comment('fairlead egress'), jump(chain)),
        place: 'last',
      },
    ],
  }
}
