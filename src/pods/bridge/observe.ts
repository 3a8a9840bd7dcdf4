// The bridge as it is.
import { CommandError } from '../../kernel/command-error.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import type { Link } from '../../kernel/observed.ts'
import { type BridgeSettings, bridgeCallsIptables } from './desired.ts'
import type { ObservedReach } from './reach.ts'

/** Whether bridged packets cannot be shown to iptables here, so that pods have to be routed instead. */
export async function mustRoute(kernel: Kernel): Promise<boolean> {
  return (await kernel.readSysctl(bridgeCallsIptables)) === undefined
}

/** @param links of the node; a bridge that is not among them has no routes and neighbours either. */
export async function observeReach(
  kernel: Kernel,
  { bridge, podCidrs }: BridgeSettings,
  links: readonly Link[],
): Promise<ObservedReach> {
  const link = links.find(({ name }) => name === bridge)
  if (link === undefined) return { bridge: undefined, routes: [], fixedNeighbours: [] }
  const families = [...new Set(podCidrs.map(({ family }) => family))]
  try {
    const [fixedNeighbours, ...routes] = await Promise.all([
      kernel.fixedNeighbours(bridge),
      ...families.map((family) => kernel.routes(family, { device: bridge })),
    ])
    return { bridge: link, routes: routes.flat(), fixedNeighbours }
  } catch (error) {
    // It has gone since; the next pass makes it anew.
    if (error instanceof CommandError && error.kind === 'missing')
      return { bridge: undefined, routes: [], fixedNeighbours: [] }
    throw error
  }
}
