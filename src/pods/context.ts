// What every CNI command works with.
import type { Logger } from 'pino'
import type { Kernel } from '../kernel/kernel.ts'
import type { BandwidthHook, HostPortHook, PolicyHook } from './hooks.ts'
import type { NodeState } from './node-state.ts'
import type { RetiredVeths } from './retired-veths.ts'

export interface PodContext {
  readonly kernel: Kernel
  readonly state: NodeState
  readonly retired: RetiredVeths
  /** Where libcni and the reference plugins keep their records. */
  readonly cniDir: string
  readonly hooks: { readonly hostPorts: HostPortHook; readonly bandwidth: BandwidthHook; readonly policy: PolicyHook }
  readonly log: Logger
  /** ms of a clock that nobody sets. */
  readonly clock: () => number
  readonly observe: (phase: string, seconds: number) => void
}

/** Runs one part of a command and tells how long it took. */
export async function inPhase<T>(context: PodContext, phase: string, work: () => T | Promise<T>): Promise<T> {
  const begin = performance.now()
  try {
    return await work()
  } finally {
    context.observe(phase, (performance.now() - begin) / 1000)
  }
}
