// What is forwarded from or to a pod is accepted, whatever the host's FORWARD policy: Docker sets it to DROP.
//
// The walk: filter FORWARD -> kube-proxy's jumps -> FAIRLEAD-FORWARD. It is the first of all but kube-proxy's, and
// those must come before: KUBE-PROXY-FIREWALL drops what a load balancer's source ranges exclude, KUBE-SERVICES rejects
// what has no endpoints, KUBE-FORWARD drops what conntrack calls invalid; once FAIRLEAD-FORWARD has accepted a packet,
// none of them sees it. So a KUBE- jump that appears later is inserted above ours, and ours is moved where one stands
// below it. Policy has a table of its own: what is accepted here can still be dropped there.
import { aggregateCidrs } from '../../net/cidr.ts'
import { comment, from, ofFamily, rule, type RuleSet, type RulesInput, to } from './rule-set.ts'

const name = 'FAIRLEAD-FORWARD'

export function forwardRules(input: RulesInput): RuleSet {
  const podNetworks = aggregateCidrs(ofFamily([...input.podNetworks, ...input.localPodCidrs], input.family))
  const rules = podNetworks.flatMap((cidr) => [
    rule(name, from(cidr), comment('from pods'), '-j ACCEPT'),
    rule(name, to(cidr), comment('to pods'), '-j ACCEPT'),
  ])
  return {
    chains: [{ table: 'filter', name, rules, order: 'sequence' }],
    jumps: [
      {
        table: 'filter',
        base: 'FORWARD',
        target: name,
        rule: rule('FORWARD', comment('fairlead forwarding'), `-j ${name}`),
        place: 'first',
      },
    ],
  }
}
