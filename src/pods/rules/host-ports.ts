// A host port: a connection to a port of the node goes to a port of one of its pods.
//
// The walk, from outside: nat PREROUTING -> KUBE-SERVICES (a Service on a local address comes before a host port) ->
// FAIRLEAD-HOSTPORTS, for local destinations -> FAIRLEAD-HOSTPORT-DNAT, one rule a port -> routed to the bridge. The
// pod sees the client's own address. From the node itself it is the same by nat OUTPUT. From 127.0.0.1, or from a pod
// of this node (which may be the very pod: hairpin), the reply would not come back this way, so FAIRLEAD-HOSTPORTS
// marks them first and FAIRLEAD-HOSTPORT-MASQ in nat POSTROUTING gives them the bridge's address. What matched no port
// returns and the mark is taken off again: it is nobody else's business.
import type { Problem } from '../../cluster/problem.ts'
import type { ProtectedPorts } from '../../cluster/protected-ports.ts'
import type { Jump } from '../../iptables/jumps.ts'
import {
  comment,
  dnat,
  jump,
  markIs,
  masquerade as toOwnAddress,
  not,
  protocolIs,
  returns,
  setMark,
  to,
  toLocal,
  toPort,
} from '../../iptables/matches.ts'
import { formatRule, type Match, type Rule, rule } from '../../iptables/rule.ts'
import { type Address, type Family, familyOf } from '../../net/address.ts'
import { aggregateCidrs, parseCidr } from '../../net/cidr.ts'
import type { Attachment, PortMapping } from '../attachment.ts'
import { hostPortMark, withoutHostPortMark } from './marks.ts'
import { fromBlock, ofFamily, type RuleSet, type RulesInput } from './rule-set.ts'

const entry = 'FAIRLEAD-HOSTPORTS'
const ports = 'FAIRLEAD-HOSTPORT-DNAT'
const masquerade = 'FAIRLEAD-HOSTPORT-MASQ'
export const loopback = { 4: parseCidr('127.0.0.0/8'), 6: parseCidr('::1/128') }

export function hostPortRules(input: RulesInput): RuleSet {
  const { family, attachments, needed } = input
  // The kernel routes no IPv6 loopback address off the node, so ::1 can never be one.
  const localhost = input.localhostHostPorts && family === 4
  const leads = attachments.flatMap((attachment) =>
    publishedLeads(family, attachment, needed).map((lead) => leadRule(lead, attachment)),
  )
  // A record may name a port twice.
  const leadRules = new Map(leads.map((each) => [formatRule(each), each]))
  const sources = [...aggregateCidrs(ofFamily(input.localPodCidrs, family)), ...(localhost ? [loopback[4]] : [])]
  return {
    chains: [
      { table: 'nat', chain: ports, rules: [...leadRules.values()] },
      {
        table: 'nat',
        chain: entry,
        rules: [
          ...(localhost ? [] : [rule(to(loopback[family]), comment('not on localhost'), returns)]),
          ...sources.map((cidr) =>
            rule(fromBlock(cidr), comment('replies must come back here'), setMark(hostPortMark)),
          ),
          rule(jump(ports)),
          rule(comment('no host port'), setMark(withoutHostPortMark)),
        ],
      },
      {
        table: 'nat',
        chain: masquerade,
        rules: [
          rule(not(markIs(hostPortMark)), returns),
          rule(setMark(withoutHostPortMark)),
          rule(comment('host port from a local pod or localhost'), toOwnAddress),
        ],
      },
    ],
    jumps: [
      // A loopback address from the wire is forged: the DNAT would carry it past the kernel's own check.
      entryJump('PREROUTING', not(to(loopback[family]))),
      entryJump('OUTPUT'),
      {
        table: 'nat',
        base: 'POSTROUTING',
        rule: rule(comment('fairlead host ports'), jump(masquerade)),
        place: 'last',
      },
    ],
  }
}

function entryJump(base: 'PREROUTING' | 'OUTPUT', match?: Match): Jump {
  return {
    table: 'nat',
    base,
    rule: rule(match, comment('fairlead host ports'), toLocal(), jump(entry)),
    place: 'last',
  }
}

/** The chain with a rule for each host port. */
export const hostPortPlace = { table: 'nat', chain: ports } as const

/** What one host port leads to in one family. */
export interface HostPortLead {
  readonly family: Family
  readonly protocol: PortMapping['protocol']
  /** Undefined: every local address. */
  readonly hostAddress: Address | undefined
  readonly hostPort: number
  readonly target: Address
  readonly targetPort: number
}

/** Returns the host ports of an attachment in one family: none where the pod or the host address has not the family. */
export function hostPortLeads(
  family: Family,
  { addresses, portMappings }: Pick<Attachment, 'addresses' | 'portMappings'>,
): readonly HostPortLead[] {
  const target = addresses.find((address) => familyOf(address) === family)
  if (target === undefined) return []
  return portMappings
    .filter(({ hostAddress }) => hostAddress === undefined || familyOf(hostAddress) === family)
    .map(({ protocol, hostAddress, hostPort, containerPort }) => ({
      family,
      protocol,
      hostAddress,
      hostPort,
      target,
      targetPort: containerPort,
    }))
}

/** Returns those of {@link hostPortLeads} that get a rule: the node needs none of them itself. */
export function publishedLeads(
  family: Family,
  attachment: Pick<Attachment, 'addresses' | 'portMappings'>,
  needed: ProtectedPorts,
): readonly HostPortLead[] {
  return hostPortLeads(family, attachment).filter(
    ({ hostAddress, protocol, hostPort }) => needed.neededBy(hostAddress, protocol, hostPort) === undefined,
  )
}

function leadRule(
  { family, protocol, hostAddress, hostPort, target, targetPort }: HostPortLead,
  pod: Attachment,
): Rule {
  return rule(
    hostAddress === undefined ? undefined : to(hostAddress),
    protocolIs(protocol),
    comment(`pod ${describePod(pod)}`),
    toPort(protocol, hostPort),
    dnat(`${family === 4 ? target : `[${target}]`}:${targetPort}`),
  )
}

/** Host ports that are not published because the node needs them: one problem each, an Event of the pod. */
export function refusedHostPorts(attachments: readonly Attachment[], needed: ProtectedPorts): Problem[] {
  return attachments.flatMap((attachment) =>
    attachment.portMappings.flatMap(({ hostAddress, protocol, hostPort }) => {
      const neededBy = needed.neededBy(hostAddress, protocol, hostPort)
      if (neededBy === undefined) return []
      const { pod } = attachment
      const where = hostAddress === undefined ? '' : ` on ${hostAddress}`
      const sentence = `Pod ${describePod(attachment)} does not get host port ${hostPort}/${protocol}${where}: ${neededBy} needs it; give the pod another, or set protectNodeTraffic to false`
      const reason = 'host-port-protected'
      if (pod?.uid === undefined) return [{ sentence, reason }]
      const regarding = { apiVersion: 'v1', kind: 'Pod', namespace: pod.namespace, name: pod.name, uid: pod.uid }
      return [{ sentence, reason, event: { regarding, reason: 'HostPortProtected', action: 'PublishHostPort' } }]
    }),
  )
}

/**
 * NAMESPACE/NAME, or the container where the runtime did not say; only what is safe in a rule, and short enough for a
 * comment (255 bytes).
 */
export function describePod({ pod, containerId, hostInterface }: Attachment): string {
  const text = pod === undefined ? (containerId?.slice(0, 12) ?? hostInterface) : `${pod.namespace}/${pod.name}`
  return text.replaceAll(/[^\w./-]/g, '').slice(0, 200)
}
