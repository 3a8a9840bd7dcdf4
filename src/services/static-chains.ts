// The chains that depend on no Service, and the jumps from the built-in chains: kube-proxy's, word for word.
import type { IptablesTable } from '../iptables/iptables.ts'
import type { Jump } from '../iptables/jumps.ts'
import {
  accept,
  comment,
  countedBy,
  drop,
  from,
  jump,
  markIs,
  masquerade,
  not,
  reject,
  returns,
  setMark,
  stateIs,
  to,
} from '../iptables/matches.ts'
import { type Chains, type Rule, rule } from '../iptables/rule.ts'
import { formatCidr, parseCidr } from '../net/cidr.ts'
import { hasLocalhostNodePorts } from './node-ports.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'

const loopback = parseCidr('127.0.0.0/8')

/** Table nat: the mark that asks for the node's address, and what honours it. */
export function staticNatChains({ masqueradeBit }: ServicesOptions): Chains {
  const mark = markOf(masqueradeBit)
  const [value = ''] = mark.split('/')
  return new Map([
    ['KUBE-MARK-MASQ', [rule(setMark(mark))]],
    [
      'KUBE-POSTROUTING',
      [
        rule(not(markIs(mark)), returns),
        // The bit is set here: this takes it off, so that a packet which passes again (out of a tunnel) is not
        // masqueraded twice.
        rule(setMark(`${value}/0x0`)),
        rule(comment('kubernetes service traffic requiring SNAT'), masquerade),
      ],
    ],
  ])
}

/** Table filter. KUBE-FIREWALL is kubelet's too: the rule is word for word the same. */
export function staticFilterChains(options: ServicesOptions, { family }: Pick<NodeFacts, 'family'>): Chains {
  const counted = options.nfacct ? countedBy('ct_state_invalid_dropped_pkts') : undefined
  const martians = rule(
    not(from(loopback)),
    to(loopback),
    comment('block incoming localnet connections'),
    not(stateIs('RELATED', 'ESTABLISHED', 'DNAT')),
    drop,
  )
  return new Map<string, readonly Rule[]>([
    // route_localnet, which node ports on 127.0.0.1 need, lets neighbours send to 127.0.0.1 (CVE-2020-8558).
    ['KUBE-FIREWALL', hasLocalhostNodePorts(options, family) ? [martians] : []],
    [
      'KUBE-FORWARD',
      [
        // Such a packet would not be un-NATed and reach the client from an address that it does not know: the client
        // would reset the connection.
        ...(options.tcpBeLiberal ? [] : [rule(stateIs('INVALID'), counted, drop)]),
        rule(comment('kubernetes forwarding rules'), markIs(markOf(options.masqueradeBit)), accept),
        rule(comment('kubernetes forwarding conntrack rule'), stateIs('RELATED', 'ESTABLISHED'), accept),
      ],
    ],
  ])
}

/**
 * The end of KUBE-SERVICES in table filter: what table nat has sent nowhere would leave by the default route, and its
 * sender wait for an answer.
 */
export function unassignedRules(
  { refusedBlocks }: ServicesOptions,
  { family }: Pick<NodeFacts, 'family'>,
): readonly Rule[] {
  const own = refusedBlocks.filter((block) => block.family === family)
  return own
    .toSorted((a, b) => (formatCidr(a) < formatCidr(b) ? -1 : 1))
    .map((block) => rule(to(block), comment('no Service has this address and port'), reject(family)))
}

/**
 * The jumps from built-in chains, top down as they stand on a node that nobody else has changed. kube-proxy inserts them
 * one by one at the top, in the reverse order.
 *
 * They stand first. KUBE-PROXY-FIREWALL drops what source ranges exclude, KUBE-SERVICES refuses what has no endpoint,
 * and a rule of another program before them (FAIRLEAD-FORWARD, a firewall's ACCEPT) would let such a packet pass; table
 * nat must choose the endpoint before a host port can take the connection.
 */
export const baseJumps: readonly Jump[] = [
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
  base: Jump['base'],
  target: string,
  why = '',
  connections: 'all' | 'new' = 'all',
): Jump {
  const parts = [connections === 'new' ? stateIs('NEW') : undefined, why === '' ? undefined : comment(why)]
  return { table, base, rule: rule(...parts, jump(target)), place: 'first' }
}

/** Returns the bit of the packet mark as VALUE/MASK. @param bit 0 to 31 */
function markOf(bit: number): string {
  const hex = `0x${(2 ** bit).toString(16)}`
  return `${hex}/${hex}`
}
