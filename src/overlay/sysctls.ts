// The switches of our device under /proc/sys.
import { CommandError } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { InterfaceName } from '../net/interface-name.ts'

/**
 * Sets the device's sysctls where they differ: loose reverse-path filter, since replies may come by another path; no router advertisements,
 * which would move the node's default route; no ICMP redirects, since every peer is "on the link" only in name.
 * @returns a sentence for each that could not be set, as where /proc/sys is mounted read-only.
 */
export async function settleSysctls(kernel: Kernel, device: InterfaceName): Promise<string[]> {
  const wanted = [
    [`net/ipv4/conf/${device}/rp_filter`, '2'],
    [`net/ipv4/conf/${device}/send_redirects`, '0'],
    [`net/ipv6/conf/${device}/accept_ra`, '0'],
  ] as const
  const problems = await Promise.all(
    wanted.map(async ([key, value]) => {
      try {
        const current = await kernel.readSysctl(key)
        if (current !== undefined && current.trim() !== value) await kernel.writeSysctl(key, value)
        return []
      } catch (error) {
        if (!(error instanceof CommandError)) throw error
        return [`Cannot set /proc/sys/${key} to ${value} (${error.stderr || error.kind}); mount the node's /proc/sys/net at /host/proc/sys/net, as deploy/base does`]
      }
    }),
  )
  return problems.flat()
}
