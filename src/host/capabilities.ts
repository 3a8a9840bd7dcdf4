// What the kernel lets this process do. Without one of these its refusals come one by one, each a riddle of its own;
// the cause is told first.

/** Bits of CapEff (linux/capability.h), and what each is needed for. */
const needed: readonly (readonly [bit: bigint, name: string, use: string])[] = [
  [12n, 'NET_ADMIN', 'to change links, routes and rules'],
  [13n, 'NET_RAW', 'to speak to iptables-legacy'],
  [21n, 'SYS_ADMIN', "to enter the pods' namespaces"],
]

/** @param status /proc/self/status @param legacyTables that this node has @returns sentences */
export function capabilityProblems(status: string, legacyTables: readonly string[]): readonly string[] {
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  const missing = needed.filter(([bit]) => (held & (1n << bit)) === 0n)
  if (missing.length === 0) return []
  const named = missing.map(([, name, use]) => `${name} (${use})`).join(', ')
  // A backend that cannot be asked looks like one that nobody uses.
  const unseen = legacyTables.length > 0 && missing.some(([, name]) => name === 'NET_RAW')
  return [
    `This process lacks the capabilities ${named}: what it cannot change stays as it is; give its container those that deploy/base lists`,
    ...(unseen
      ? [
          `This node has rules in iptables-legacy (tables ${legacyTables.join(', ')}), which cannot be read without NET_RAW, so ours are written with iptables-nft, whichever the node uses; give the container NET_RAW, as deploy/base does, and restart the agent`,
        ]
      : []),
  ]
}
