// The switches of our device under /proc/sys.
import type { Sysctl } from '../kernel/settle-sysctls.ts'
import type { InterfaceName } from '../net/interface-name.ts'

/**
 * Loose reverse-path filter, since replies may come by another path; no router advertisements, which would move the
 * node's default route; no ICMP redirects, since every peer is "on the link" only in name.
 */
export function deviceSysctls(device: InterfaceName): readonly Sysctl[] {
  return [
    { key: `net/ipv4/conf/${device}/rp_filter`, value: '2' },
    { key: `net/ipv4/conf/${device}/send_redirects`, value: '0' },
    { key: `net/ipv6/conf/${device}/accept_ra`, value: '0' },
  ]
}
