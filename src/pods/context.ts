// What every CNI command works with.
import type { Logger } from 'pino'
import type { Kernel } from '../kernel/kernel.ts'
import type { BandwidthHook, HostPortHook } from './hooks.ts'
import type { NodeState } from './node-state.ts'
import type { RetiredVeths } from './retired-veths.ts'

export interface PodContext {
  readonly kernel: Kernel
  readonly state: NodeState
  readonly retired: RetiredVeths
  readonly hooks: { readonly hostPorts: HostPortHook; readonly bandwidth: BandwidthHook }
  readonly log: Logger
  /** ms since the epoch. */
  readonly clock: () => number
  readonly observe: (phase: string, seconds: number) => void
}
