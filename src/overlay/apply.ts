// The edge: differences go to the kernel, the device's before the peers'.
import type { Change } from '../kernel/change.ts'
import type { Failure, Kernel } from '../kernel/kernel.ts'
import { settleSysctls } from '../kernel/settle-sysctls.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { isOurs } from './conflict.ts'
import { diffDevice, diffPeers } from './diff.ts'
import { type ObservedOverlay, observeOverlay } from './observe.ts'
import type { OverlayState } from './state.ts'
import { deviceSysctls } from './sysctls.ts'

export interface Applied {
  /** All that was asked of the kernel, in order, failures included. */
  readonly changes: readonly Change[]
  readonly failures: readonly Failure[]
  readonly problems: readonly string[]
  /** The device is there and up, or none is wanted. */
  readonly ready: boolean
}

export async function applyOverlay(
  kernel: Kernel,
  device: InterfaceName,
  state: OverlayState,
  before: ObservedOverlay,
): Promise<Applied> {
  const deviceChanges = diffDevice(state.device, before.links)
  const deviceFailures = await kernel.apply(deviceChanges)
  const after = deviceChanges.length === 0 ? before : await observeOverlay(kernel, device)
  const ready = state.device === undefined || after.links.some((link) => isOurs(link, device) && link.up)
  // Without the device every entry would fail for the same reason, which the device's own failure tells best.
  if (!ready) return { changes: deviceChanges, failures: deviceFailures, problems: [], ready }
  const problems =
    state.device === undefined
      ? []
      : (await settleSysctls(kernel, deviceSysctls(device))).map(({ sentence }) => sentence)
  const peerChanges = diffPeers(state, after, device)
  const peerFailures = await kernel.apply(peerChanges)
  return {
    changes: [...deviceChanges, ...peerChanges],
    failures: [...deviceFailures, ...peerFailures],
    problems,
    ready,
  }
}
