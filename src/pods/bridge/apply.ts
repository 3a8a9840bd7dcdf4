// Brings the bridge to its desired state.
import type { Change } from '../../kernel/change.ts'
import type { Failure, Kernel } from '../../kernel/kernel.ts'
import type { DesiredBridge } from './desired.ts'
import { differingSysctls } from './observe.ts'

/**
 * Settings first, since arp_notify has to be on before the MAC changes, and once more after changes: those of a bridge just made exist only then.
 * @throws {CommandError} when a setting cannot be written
 */
export async function applyBridge(kernel: Kernel, desired: DesiredBridge, changes: readonly Change[]): Promise<readonly Failure[]> {
  await writeSysctls(kernel, desired)
  if (changes.length === 0) return []
  const failures = await kernel.apply(changes)
  await writeSysctls(kernel, desired)
  return failures
}

async function writeSysctls(kernel: Kernel, desired: DesiredBridge): Promise<void> {
  for (const { key, value } of await differingSysctls(kernel, desired.sysctls)) {
    await kernel.writeSysctl(key, value)
  }
}
