// UDP flows as conntrack tracks them: read from what `conntrack -L` prints, line by line.
import { type Address, canonicalAddress } from '../net/address.ts'

/** One UDP entry of conntrack's default zone: what the client sent, and where the answers come from. */
export interface UdpFlow {
  /** The client. */
  readonly source: Address
  readonly sourcePort: number
  /** Where the client sends to. */
  readonly destination: Address
  readonly destinationPort: number
  /** Where the answers come from: the destination itself, or what DNAT has put in its place. */
  readonly replySource: Address
  readonly replySourcePort: number
}

/**
 * Which entries to delete: all fields that are given must match. Without the client's address and port it is every flow
 * that one frontend leads to one endpoint.
 */
export type UdpFlowFilter = Omit<UdpFlow, 'source' | 'sourcePort'> & Partial<UdpFlow>

/**
 * Tells what becomes of a flow. `end-lead` ends every flow with the same destination and reply source, `end-flow` this
 * one alone.
 */
export type FlowVerdict = 'keep' | 'end-lead' | 'end-flow'

/** Returns whether DNAT has given the flow another destination than the client sent to. */
export function isTranslated(flow: Omit<UdpFlow, 'source' | 'sourcePort'>): boolean {
  return flow.replySource !== flow.destination || flow.replySourcePort !== flow.destinationPort
}

/**
 * Parses one line of `conntrack -L -p udp`. Entries of other zones belong to other programs (Open vSwitch, VRFs): no
 * rule of ours sees their packets in that zone.
 * @returns the flow; undefined for an entry of another zone and for a line that is no UDP entry.
 */
export function parseUdpFlow(line: string): UdpFlow | undefined {
  const found = entry.exec(line)
  if (found === null || otherZone.test(line)) return undefined
  const [source, destination, replySource] = [found[1], found[2], found[5]].map((text = '') => canonicalAddress(text))
  if (source === undefined || destination === undefined || replySource === undefined) return undefined
  return {
    source,
    sourcePort: Number(found[3]),
    destination,
    destinationPort: Number(found[4]),
    replySource,
    replySourcePort: Number(found[6]),
  }
}

// An offloaded entry has no timeout; counters stand behind each direction where nf_conntrack_acct is on.
const entry =
  /^udp +17 (?:\d+ )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?src=(\S+) dst=\S+ sport=(\d+) dport=\d+(?: |$)/
const otherZone = / zone(?:-orig|-reply)?=/
