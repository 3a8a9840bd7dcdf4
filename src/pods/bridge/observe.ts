// The bridge as it is.
import type { Kernel } from '../../kernel/kernel.ts'
import { bridgeCallsIptables, type Sysctl } from './desired.ts'

/** Those of the settings that differ. One that the kernel does not have (a missing module or device) is left out: there is nothing to write. */
export async function differingSysctls(kernel: Kernel, desired: readonly Sysctl[]): Promise<Sysctl[]> {
  const observed = await Promise.all(desired.map(({ key }) => kernel.readSysctl(key)))
  return desired.filter(({ value }, i) => observed[i] !== undefined && observed[i]?.trim() !== value)
}

/** Whether bridged packets cannot be shown to iptables here, so that pods have to be routed instead. */
export async function mustRoute(kernel: Kernel): Promise<boolean> {
  return (await kernel.readSysctl(bridgeCallsIptables)) === undefined
}
