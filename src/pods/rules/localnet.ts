// Keeps the node's loopback addresses to the node, where route_localnet on the bridge would open them to pods
// (CVE-2020-8558).
//
// The walk: pod -> bridge -> mangle PREROUTING -> FAIRLEAD-LOCALNET. A loopback address on the bridge is forged, as
// source or as destination. The honest traffic of localhost host ports never shows one here: its packets leave with the
// bridge's address (FAIRLEAD-HOSTPORT-MASQ), replies come to that address, and they are un-NATed only later, in nat
// PREROUTING. So what is dropped is neither translated nor part of a connection, without asking conntrack. kubelet's
// rule for the same in filter INPUT lets a forged loopback source through, and a packet that a DNAT rule sends
// elsewhere never comes by there.
import { comment, drop, from, fromDevice, jump, to } from '../../iptables/matches.ts'
import { rule } from '../../iptables/rule.ts'
import { parseCidr } from '../../net/cidr.ts'
import { noRules, type RuleSet, type RulesInput } from './rule-set.ts'

const chain = 'FAIRLEAD-LOCALNET'
const loopback = parseCidr('127.0.0.0/8')

export function localnetRules(input: RulesInput): RuleSet {
  // IPv6 has no route_localnet: the kernel itself drops ::1 from the wire.
  if (!input.localhostHostPorts || input.family === 6) return noRules
  const rules = [
    rule(to(loopback), comment('loopback is not for pods'), drop),
    rule(from(loopback), comment('loopback is not for pods'), drop),
  ]
  return {
    chains: [{ table: 'mangle', chain, rules }],
    jumps: [
      {
        table: 'mangle',
        base: 'PREROUTING',
        rule: rule(fromDevice(input.bridge), comment('fairlead localhost guard'), jump(chain)),
        place: 'last',
      },
    ],
  }
}
