// Brings the bridge to its desired state.
import type { Change } from '../../kernel/change.ts'
import type { Failure, Kernel } from '../../kernel/kernel.ts'
import type { DesiredBridge, Sysctl } from './desired.ts'
import { differingSysctls } from './observe.ts'

/**
 * Settings first, since arp_notify has to be on before the MAC changes, and once more after changes: those of a bridge just made exist only then.
 * @param plan asked before anything is touched, since it may refuse, and again without a pause before the lines are written: a port whose pod has gone in
 *   between must not be put back
 * @throws {CommandError} when a setting cannot be written
 */
export async function applyBridge(kernel: Kernel, plan: () => { desired: DesiredBridge; changes: readonly Change[] }): Promise<{ changes: readonly Change[]; failures: readonly Failure[] }> {
  await writeSysctls(kernel, plan().desired.sysctls)
  const { desired, changes } = plan()
  if (changes.length === 0) return { changes, failures: [] }
  const failures = await kernel.apply(changes)
  await writeSysctls(kernel, desired.sysctls)
  return { changes, failures }
}

async function writeSysctls(kernel: Kernel, desired: readonly Sysctl[]): Promise<void> {
  for (const { key, value } of await differingSysctls(kernel, desired)) await kernel.writeSysctl(key, value)
}
