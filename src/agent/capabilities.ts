// What the kernel lets this process do. Without one of these its refusals come one by one, each a riddle of its own; the cause is told first.

/** Bits of CapEff (linux/capability.h), and what each is needed for. */
const needed: readonly (readonly [bit: bigint, name: string, use: string])[] = [
  [12n, 'NET_ADMIN', 'to change links, routes and rules'],
  [13n, 'NET_RAW', 'to speak to iptables-legacy'],
  [21n, 'SYS_ADMIN', "to enter the pods' namespaces"],
]

/** @param status /proc/self/status @returns a sentence; undefined where nothing is missing. */
export function missingCapabilities(status: string): string | undefined {
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  const missing = needed.filter(([bit]) => (held & (1n << bit)) === 0n)
  if (missing.length === 0) return undefined
  return `This process lacks the capabilities ${missing.map(([, name, use]) => `${name} (${use})`).join(', ')}: what it cannot change stays as it is; give its container those that deploy/base lists`
}
