// Brings the bridge to its desired state.
import type { Change } from '../../kernel/change.ts'
import type { Failure, Kernel } from '../../kernel/kernel.ts'
import { settleSysctls, type SysctlProblem } from '../../kernel/settle-sysctls.ts'
import type { DesiredBridge } from './desired.ts'

export interface AppliedBridge {
  readonly changes: readonly Change[]
  readonly failures: readonly Failure[]
  /** Settings that could not be written. */
  readonly problems: readonly SysctlProblem[]
}

/**
 * Settings first, since arp_notify has to be on before the MAC changes, and once more after changes: those of a bridge
 * just made exist only then.
 * @param plan asked before anything is touched, since it may refuse, and again without a pause before the lines are
 * written: a port whose pod has gone in
 * between must not be put back
 */
export async function applyBridge(
  kernel: Kernel,
  plan: () => { desired: DesiredBridge; changes: readonly Change[] },
): Promise<AppliedBridge> {
  const problems = await settleSysctls(kernel, plan().desired.sysctls)
  const { desired, changes } = plan()
  if (changes.length === 0) return { changes, failures: [], problems }
  const failures = await kernel.apply(changes)
  return { changes, failures, problems: await settleSysctls(kernel, desired.sysctls) }
}
