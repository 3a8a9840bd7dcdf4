// Kernel parameters brought to the values that a room wants. One that cannot be written keeps nothing else from being
// done: what it costs, the room knows.
import { CommandError } from './command-error.ts'
import type { Kernel } from './kernel.ts'

export interface Sysctl {
  /** As a path below /proc/sys. */
  readonly key: string
  readonly value: string
}

export interface SysctlProblem {
  readonly key: string
  /** What, why, and what to do. */
  readonly sentence: string
}

/**
 * Writes those that differ, in their order; one that the kernel does not have (a missing module or device) is left out.
 * @returns those that could not be set, as where /proc/sys is mounted read-only.
 */
export async function settleSysctls(kernel: Kernel, wanted: readonly Sysctl[]): Promise<readonly SysctlProblem[]> {
  const observed = await Promise.all(wanted.map(async ({ key }) => kernel.readSysctl(key)))
  const problems: SysctlProblem[] = []
  for (const [i, { key, value }] of wanted.entries()) {
    if (observed[i] === undefined || observed[i].trim() === value) continue
    try {
      await kernel.writeSysctl(key, value)
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      problems.push({
        key,
        sentence: `Cannot set /proc/sys/${key} to ${value} (${error.stderr || error.kind}); mount the node's /proc/sys/net at /host/proc/sys/net, as deploy/base does`,
      })
    }
  }
  return problems
}
