// Pods that were there before the node got another podCIDR: they keep their addresses, which other nodes have no way to
// any more.
import { type Cidr, cidrContains, formatCidr } from '../net/cidr.ts'
import type { PodAttachment } from './attachment-codec.ts'

/**
 * A sentence for people where pods have addresses of a podCIDR that the node had; undefined where none has. It names
 * the podCIDR, so that it stays the same until the last one is gone.
 */
export function formerAddresses(attachments: Iterable<PodAttachment>, podCidrs: readonly Cidr[]): string | undefined {
  const former = new Set<string>()
  for (const attachment of attachments) {
    for (const address of attachment.addresses) {
      if (podCidrs.some((cidr) => cidrContains(cidr, address))) continue
      const given = attachment.podCidrs.find((cidr) => cidrContains(cidr, address))
      former.add(given === undefined ? address : formatCidr(given))
    }
  }
  if (former.size === 0) return undefined
  return `Pods with addresses of ${[...former].toSorted().join(' and ')}, which this node's podCIDR ${podCidrs.map(formatCidr).join(' and ')} has replaced, are reached from no other node: delete them, so that they come back with new ones`
}
