// What is forwarded from or to a pod is accepted, whatever the host's FORWARD policy: Docker sets it to DROP.
//
// The walk: filter FORWARD -> kube-proxy's jumps -> FAIRLEAD-FORWARD. It is the first of all but kube-proxy's, and
// those must come before: KUBE-PROXY-FIREWALL drops what a load balancer's source ranges exclude, KUBE-SERVICES rejects
// what has no endpoints, KUBE-FORWARD drops what conntrack calls invalid; once FAIRLEAD-FORWARD has accepted a packet,
// none of them sees it. So a KUBE- jump that appears later is inserted above ours, and ours is moved where one stands
// below it. Policy has a table of its own: what is accepted here can still be dropped there.
import { accept, comment, jump } from '../../iptables/matches.ts'
import { rule } from '../../iptables/rule.ts'
import { aggregateCidrs } from '../../net/cidr.ts'
import { fromBlock, ofFamily, type RuleSet, type RulesInput, toBlock } from './rule-set.ts'

const chain = 'FAIRLEAD-FORWARD'

export function forwardRules(input: RulesInput): RuleSet {
  const podNetworks = aggregateCidrs(ofFamily([...input.podNetworks, ...input.localPodCidrs], input.family))
  const rules = podNetworks.flatMap((cidr) => [
    rule(fromBlock(cidr), comment('from pods'), accept),
    rule(toBlock(cidr), comment('to pods'), accept),
  ])
  return {
    chains: [{ table: 'filter', chain, rules }],
    jumps: [
      {
        table: 'filter',
        base: 'FORWARD',
        rule: rule(comment('fairlead forwarding'), jump(chain)),
        place: 'first',
      },
    ],
  }
}
