// Whose the KUBE- chains are. They bear kube-proxy's names, so that either program takes over what the other has left.
//
// Two signs tell, both in the kernel and so neither lost with a process. Our marker says that we have written the chains.
// KUBE-PROXY-CANARY says that a kube-proxy (iptables mode) has: it creates one in each table when it starts, looks every
// 30 s whether they are there, and writes all its rules anew where one is missing. We create none and remove those that
// we find when we take a node over. So one beside our marker belongs to a kube-proxy that came later, and the chains are
// its own (docs/adr/0034).
import type { Iptables, IptablesTable } from '../iptables/iptables.ts'
import { removes, restoreText } from '../iptables/restore-text.ts'
import type { Family } from '../net/address.ts'
import { canary, marker } from './owner.ts'
import { readStandbyBases, standbyRemovals } from './standby.ts'

export type Owner = 'nobody' | 'fairlead' | 'kube-proxy'

const tables: readonly IptablesTable[] = ['mangle', 'nat', 'filter']

/**
 * Tells who keeps the KUBE- chains; nobody, as far as Fairlead can tell, where its marker is missing.
 * @throws {CommandError}
 */
export async function ownerOf(iptables: Iptables, family: Family): Promise<Owner> {
  const marked = await iptables.rulesOf(family, 'mangle', marker)
  if (marked === undefined) return 'nobody'
  // Agents up to 0.1 left the chain empty and created the canaries themselves.
  if (!marked.some((line) => line.startsWith('-A '))) return 'fairlead'
  return (await hasCanary(iptables, family)) ? 'kube-proxy' : 'fairlead'
}

/** Checks the canary that kube-proxy looks at. @throws {CommandError} */
export async function hasCanary(iptables: Iptables, family: Family): Promise<boolean> {
  return (await iptables.rulesOf(family, 'mangle', canary)) !== undefined
}

/**
 * Removes kube-proxy's canaries. A kube-proxy that runs writes all its rules within its sync period, and the canaries
 * with them.
 * @returns whether there was any
 * @throws {CommandError}
 */
export async function removeCanaries(iptables: Iptables, family: Family): Promise<boolean> {
  const found: IptablesTable[] = []
  for (const table of tables) if ((await iptables.rulesOf(family, table, canary)) !== undefined) found.push(table)
  if (found.length > 0)
    await iptables.restore(
      family,
      restoreText(found.map((table) => ({ table, declare: [canary], lines: [removes(canary)] }))),
    )
  return found.length > 0
}

/**
 * Leaves the KUBE- chains to a kube-proxy: removes our marker and our standby jumps, and nothing else.
 * @throws {CommandError}
 */
export async function release(iptables: Iptables, family: Family): Promise<void> {
  const lines = standbyRemovals(await readStandbyBases(iptables, family))
  const nat = lines.length === 0 ? [] : [{ table: 'nat', declare: [], lines } as const]
  await iptables.restore(
    family,
    restoreText([...nat, { table: 'mangle', declare: [marker], lines: [removes(marker)] }]),
  )
}
