// What flannel left on the node. It is neither used nor removed, for flannel may still run; but a person who looks for
// the cause of something should not have to find it first. Said once, when the agent starts: the next start tells
// whether it is gone.
import { existsSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Iptables, IptablesTable } from '../iptables/iptables.ts'

const chains: readonly (readonly [table: IptablesTable, chain: string])[] = [
  ['nat', 'FLANNEL-POSTRTG'],
  ['filter', 'FLANNEL-FWD'],
]
const subnetFile = '/run/flannel/subnet.env'

export async function reportLeftovers(iptables: Iptables, log: Logger): Promise<void> {
  try {
    for (const sentence of await leftovers(iptables)) log.warn({ topic: 'leftovers' }, sentence)
  } catch (error) {
    log.warn({ err: error }, 'whether flannel left anything on this node could not be read')
  }
}

async function leftovers(iptables: Iptables): Promise<string[]> {
  const found: string[] = []
  for (const [table, chain] of chains) {
    const rules = [
      ...((await iptables.rulesOf(4, table, chain)) ?? []),
      ...((await iptables.rulesOf(6, table, chain)) ?? []),
    ]
    if (rules.length > 0) found.push(`${chain} (iptables -t ${table})`)
  }
  return [
    ...(found.length > 0
      ? [
          `flannel's chains are there: ${found.join(', ')}; they are left alone: remove flannel from this node, then run fairlead cleanup --foreign`,
        ]
      : []),
    ...(existsSync(subnetFile)
      ? [
          `${subnetFile} is there, by which flannel told its subnet; it is not read: the node's podCIDR is what its Node object says`,
        ]
      : []),
  ]
}
