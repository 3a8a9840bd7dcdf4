// How large a pod's packet may be. The kernel clamps a VXLAN device's MTU when it is made and never looks again, so we
// follow the underlay.
import type { Family } from '../net/address.ts'

/** What VXLAN puts around a packet: inner Ethernet 14, VXLAN 8, UDP 8, and the outer IPv4 (20) or IPv6 (40) header. */
export function vxlanOverhead(underlay: Family): 50 | 70 {
  return underlay === 4 ? 50 : 70
}

/** The wanted MTU as far as the path carries it, and a sentence where it does not. */
export function podMtu(wanted: number | 'auto', limit: number): { mtu: number; problems: string[] } {
  if (wanted === 'auto') return { mtu: limit, problems: [] }
  if (wanted <= limit) return { mtu: wanted, problems: [] }
  return {
    mtu: limit,
    problems: [
      `Option mtu asks for ${wanted} bytes but the underlay carries ${limit}, which is used; lower mtu or raise the underlay's`,
    ],
  }
}
