// Which UDP flows host ports lead, should lead, and no longer lead: pure, one family's.
//
// A flow follows its host port: one that a port led to a pod ends when the port goes, and one that went to the node
// itself before the port came ends so that its next packet is led to the pod. Everything else with that port number is
// not ours: a pod's query to a server elsewhere, a Service's node port, another program's DNAT.
import { parseRule } from '../../iptables/parse-rule.ts'
import { optionOf } from '../../iptables/rule.ts'
import type { FlowVerdict, UdpFlow } from '../../kernel/udp-flow.ts'
import { isTranslated } from '../../kernel/udp-flow.ts'
import { type Address, canonicalAddress, type Family } from '../../net/address.ts'
import { cidrContains } from '../../net/cidr.ts'
import { type HostPortLead, loopback } from './host-ports.ts'

/** The node as host ports see it. */
interface HostPortScope {
  /** Whether the kernel takes the address for one of its own. */
  readonly isLocal: (address: Address) => boolean
  /** Host ports answer on loopback addresses too. */
  readonly localhost: boolean
}

/** Leads that are no longer in force, and whose flows may still go on. */
export class WithdrawnLeads {
  readonly #leads = new Map<string, HostPortLead>()

  get size(): number {
    return this.#leads.size
  }

  add(leads: Iterable<HostPortLead>): void {
    for (const lead of leads) if (lead.protocol === 'udp') this.#leads.set(JSON.stringify(lead), lead)
  }

  /** Hands all of them over. */
  take(): readonly HostPortLead[] {
    const leads = [...this.#leads.values()]
    this.#leads.clear()
    return leads
  }
}

/**
 * Returns the judge of one walk through the conntrack table.
 * @param current leads that are in force
 * @param withdrawn leads that were in force
 */
export function hostPortJudge(
  current: readonly HostPortLead[],
  withdrawn: readonly HostPortLead[],
  { isLocal, localhost }: HostPortScope,
): (flow: UdpFlow) => FlowVerdict {
  const [inForce, known] = [byPort(current), byPort([...current, ...withdrawn])]
  const concerns = ({ hostAddress }: HostPortLead, destination: Address): boolean =>
    hostAddress === undefined ? isLocal(destination) : hostAddress === destination
  const answers = (lead: HostPortLead, destination: Address): boolean =>
    concerns(lead, destination) &&
    isLocal(destination) &&
    (localhost || !cidrContains(loopback[lead.family], destination))
  return (flow) => {
    const { destination, destinationPort } = flow
    const leads = known.get(destinationPort)
    if (leads === undefined) return 'keep'
    const translated = isTranslated(flow)
    if (translated && !leads.some((lead) => leadsTo(lead, flow) && concerns(lead, destination))) return 'keep'
    const holder = inForce.get(destinationPort)?.find((lead) => answers(lead, destination))
    const asItShould = holder === undefined ? !translated : leadsTo(holder, flow)
    return asItShould ? 'keep' : 'end-lead'
  }
}

/**
 * Reads back which lead a rule of FAIRLEAD-HOSTPORT-DNAT is.
 * @param rule as iptables prints it behind `-A CHAIN `
 * @returns undefined for a rule of another kind
 */
export function parseHostPortRule(family: Family, rule: string): HostPortLead | undefined {
  const parsed = parseRule(rule)
  if (parsed.target?.name !== 'DNAT') return undefined
  const protocol = protocols.find((each) => each === optionOf(parsed, '-p'))
  const hostPort = Number(optionOf(parsed, '--dport'))
  const [, to = '', targetPort] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(optionOf(parsed, '--to-destination') ?? '') ?? []
  const target = canonicalAddress(to)
  if (protocol === undefined || Number.isNaN(hostPort) || target === undefined) return undefined
  const hostAddress = optionOf(parsed, '-d')?.split('/')[0]
  return {
    family,
    protocol,
    hostAddress: hostAddress === undefined ? undefined : canonicalAddress(hostAddress),
    hostPort,
    target,
    targetPort: Number(targetPort),
  }
}

const protocols = ['tcp', 'udp', 'sctp'] as const

function byPort(leads: readonly HostPortLead[]): ReadonlyMap<number, readonly HostPortLead[]> {
  return Map.groupBy(
    leads.filter(({ protocol }) => protocol === 'udp'),
    ({ hostPort }) => hostPort,
  )
}

function leadsTo({ target, targetPort }: HostPortLead, { replySource, replySourcePort }: UdpFlow): boolean {
  return target === replySource && targetPort === replySourcePort
}
