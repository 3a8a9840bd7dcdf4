// What the kernel holds now, as far as it is the overlay's.
import type { Kernel } from '../kernel/kernel.ts'
import type { FdbEntry, Link, Neighbour, Route } from '../kernel/observed.ts'
import { settleAll } from '../runtime/settle-all.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { isOurs } from './conflict.ts'

export interface ObservedOverlay {
  readonly links: readonly Link[]
  /**
   * Of both families: those with our protocol number and a gateway. All of ours have one; without it they are another
   * room's.
   */
  readonly routes: readonly Route[]
  /** Permanent ones on our device. What the kernel itself tries and forgets is not counted. */
  readonly neighbours: readonly Neighbour[]
  /** All on our device. */
  readonly fdb: readonly FdbEntry[]
}

export async function observeOverlay(kernel: Kernel, device: InterfaceName): Promise<ObservedOverlay> {
  const [links, ...routes] = await settleAll([
    kernel.links(),
    kernel.routes(4, { ours: true }),
    kernel.routes(6, { ours: true }),
  ])
  const present = links.some((link) => isOurs(link, device))
  const [fdb, ...neighbours] = present
    ? await settleAll([kernel.fdb(device), kernel.neighbours(4, device), kernel.neighbours(6, device)])
    : [[]]
  return {
    links,
    routes: routes.flat().filter((route) => route.gateway !== undefined),
    neighbours: neighbours.flat().filter((neighbour) => neighbour.permanent),
    fdb,
  }
}
