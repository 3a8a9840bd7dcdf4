// The chains that depend on no Service, and the jumps from the built-in chains: kube-proxy's, word for word.
import type { IptablesTable } from '../iptables/iptables.ts'
import { formatCidr } from '../net/cidr.ts'
import { hasLocalhostNodePorts } from './node-ports.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import type { Chains, Rules } from './rendered.ts'
import { comment, jump, markOf, reject, rule } from './rule-text.ts'

/** Table nat: the mark that asks for the node's address, and what honours it. */
export function staticNatChains({ masqueradeBit }: ServicesOptions): Chains {
  const mark = markOf(masqueradeBit)
  const [value = ''] = mark.split('/')
  return new Map([
    ['KUBE-MARK-MASQ', [`-j MARK --set-xmark ${mark}`]],
    [
      'KUBE-POSTROUTING',
      [
        `-m mark ! --mark ${mark} -j RETURN`,
        // The bit is set here: this takes it off, so that a packet which passes again (out of a tunnel) is not
        // masqueraded twice.
        `-j MARK --set-xmark ${value}/0x0`,
        rule(comment('kubernetes service traffic requiring SNAT'), '-j MASQUERADE --random-fully'),
      ],
    ],
  ])
}

/** Table filter. KUBE-FIREWALL is kubelet's too: the rule is word for word the same. */
export function staticFilterChains(options: ServicesOptions, { family }: Pick<NodeFacts, 'family'>): Chains {
  const counted = options.nfacct ? '-m nfacct --nfacct-name ct_state_invalid_dropped_pkts' : ''
  const martians = rule(
    '! -s 127.0.0.0/8 -d 127.0.0.0/8',
    comment('block incoming localnet connections'),
    '-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT',
    jump('DROP'),
  )
  return new Map<string, Rules>([
    // route_localnet, which node ports on 127.0.0.1 need, lets neighbours send to 127.0.0.1 (CVE-2020-8558).
    ['KUBE-FIREWALL', hasLocalhostNodePorts(options, family) ? [martians] : []],
    [
      'KUBE-FORWARD',
      [
        // Such a packet would not be un-NATed and reach the client from an address that it does not know: the client
        // would reset the connection.
        ...(options.tcpBeLiberal ? [] : [rule('-m conntrack --ctstate INVALID', counted, jump('DROP'))]),
        rule(comment('kubernetes forwarding rules'), `-m mark --mark ${markOf(options.masqueradeBit)}`, jump('ACCEPT')),
        rule(
          comment('kubernetes forwarding conntrack rule'),
          '-m conntrack --ctstate RELATED,ESTABLISHED',
          jump('ACCEPT'),
        ),
      ],
    ],
  ])
}

/**
 * The end of KUBE-SERVICES in table filter: what table nat has sent nowhere would leave by the default route, and its
 * sender wait for an answer.
 */
export function unassignedRules({ refusedBlocks }: ServicesOptions, { family }: Pick<NodeFacts, 'family'>): Rules {
  const own = refusedBlocks.filter((block) => block.family === family)
  return own
    .map(formatCidr)
    .toSorted()
    .map((block) => rule(`-d ${block}`, comment('no Service has this address and port'), reject(family)))
}

export interface BaseJump {
  readonly table: IptablesTable
  readonly base: 'INPUT' | 'FORWARD' | 'OUTPUT' | 'PREROUTING' | 'POSTROUTING'
  /** After `-A BASE `, as iptables-save prints it. */
  readonly rule: string
  readonly target: string
}

/**
 * Top down, as they stand on a node that nobody else has changed. kube-proxy inserts them one by one at the top, in the
 * reverse order.
 */
export const baseJumps: readonly BaseJump[] = [
  baseJump('filter', 'INPUT', 'KUBE-FIREWALL'),
  baseJump('filter', 'INPUT', 'KUBE-PROXY-FIREWALL', 'kubernetes load balancer firewall', 'new'),
  baseJump('filter', 'INPUT', 'KUBE-NODEPORTS', 'kubernetes health check service ports'),
  baseJump('filter', 'INPUT', 'KUBE-EXTERNAL-SERVICES', 'kubernetes externally-visible service portals', 'new'),
  baseJump('filter', 'FORWARD', 'KUBE-PROXY-FIREWALL', 'kubernetes load balancer firewall', 'new'),
  baseJump('filter', 'FORWARD', 'KUBE-FORWARD', 'kubernetes forwarding rules'),
  baseJump('filter', 'FORWARD', 'KUBE-SERVICES', 'kubernetes service portals', 'new'),
  baseJump('filter', 'FORWARD', 'KUBE-EXTERNAL-SERVICES', 'kubernetes externally-visible service portals', 'new'),
  baseJump('filter', 'OUTPUT', 'KUBE-FIREWALL'),
  baseJump('filter', 'OUTPUT', 'KUBE-PROXY-FIREWALL', 'kubernetes load balancer firewall', 'new'),
  baseJump('filter', 'OUTPUT', 'KUBE-SERVICES', 'kubernetes service portals', 'new'),
  baseJump('nat', 'PREROUTING', 'KUBE-SERVICES', 'kubernetes service portals'),
  baseJump('nat', 'OUTPUT', 'KUBE-SERVICES', 'kubernetes service portals'),
  baseJump('nat', 'POSTROUTING', 'KUBE-POSTROUTING', 'kubernetes postrouting rules'),
]

function baseJump(
  table: IptablesTable,
  base: BaseJump['base'],
  target: string,
  why = '',
  connections: 'all' | 'new' = 'all',
): BaseJump {
  return {
    table,
    base,
    target,
    rule: rule(connections === 'new' ? '-m conntrack --ctstate NEW' : '', why === '' ? '' : comment(why), jump(target)),
  }
}
