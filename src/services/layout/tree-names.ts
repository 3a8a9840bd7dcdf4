// Names of chains that only our layout has. They begin with KUBE-SVC-, so that a real kube-proxy takes them for its own
// stale ones and removes them when the node is handed back to it; a Service's own chain has 16 characters of base32
// there and no dash, so the two cannot meet.
import { createHash } from 'node:crypto'

/** 28 characters are the most that iptables takes; `KUBE-SVC-CIP-` leaves this many. */
const roomForPrefix = 15

/**
 * `KUBE-SVC-CIP-0AFE` for ClusterIPs in 10.254.0.0/16; where the prefix is too long, which happens in IPv6, its hash.
 */
export function prefixChainName(tree: string, prefix: string): string {
  if (prefix.length <= roomForPrefix) return `KUBE-SVC-${tree}-${prefix}`
  return `KUBE-SVC-${tree}-${createHash('sha256').update(prefix).digest('hex').slice(0, roomForPrefix)}`
}

/** Tells whether the chain may lead into a dispatch tree. */
export function isDispatchChain(chain: string): boolean {
  return chain === 'KUBE-SERVICES' || chain === 'KUBE-NODEPORTS' || isTreeChain(chain)
}

/** Tells whether the chain is a step of a dispatch tree. */
export function isTreeChain(chain: string): boolean {
  return /^KUBE-SVC-(?:CIP|VIP|NPT)-/.test(chain)
}

/**
 * A group of a Service's endpoints: `KUBE-SVC-NPX46M4PTMTKRN6Y-7` below `KUBE-SVC-NPX46M4PTMTKRN6Y`, and one level
 * further `...-7Q`.
 */
export function groupChainName(parent: string, letter: string): string {
  return parent.length <= 25 ? `${parent}-${letter}` : `${parent}${letter}`
}
