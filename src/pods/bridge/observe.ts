// The bridge as it is.
import type { Kernel } from '../../kernel/kernel.ts'
import { bridgeCallsIptables } from './desired.ts'

/** Whether bridged packets cannot be shown to iptables here, so that pods have to be routed instead. */
export async function mustRoute(kernel: Kernel): Promise<boolean> {
  return (await kernel.readSysctl(bridgeCallsIptables)) === undefined
}
