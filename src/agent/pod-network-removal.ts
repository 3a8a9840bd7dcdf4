// The pod network switched off, for another CNI plugin. The runtime's configuration goes as soon as there is another
// one to ask; the wires of running pods, and all that carries their packets, go with the last of them. Until a node has
// another network, ours serves it: a switch is no reason to leave it without.
import type { Change } from '../kernel/change.ts'
import type { Failure, Kernel } from '../kernel/kernel.ts'
import { deleteRoute } from '../kernel/route-changes.ts'
import { otherConfigs, removeConflist } from '../pods/cni/conflist.ts'
import type { PodRules } from '../pods/rules/rules.ts'
import { linkRemovals } from '../host/cleanup-links.ts'

export interface Retreat {
  /** Nothing of ours serves pods any more: the rest can be removed. */
  readonly over: boolean
  /** Whether the runtime's configuration was removed just now. */
  readonly withdrawn: boolean
  /** What keeps it from being over, in a sentence. */
  readonly waitsFor: string | undefined
}

/** @param pods how many have their network from us. */
export async function retreat(cniConfDir: string, pods: number): Promise<Retreat> {
  if (pods === 0) return { over: true, withdrawn: await removeConflist(cniConfDir), waitsFor: undefined }
  const [successor] = await otherConfigs(cniConfDir)
  const remaining = pods === 1 ? 'a pod has its' : `${pods} pods have their`
  if (successor === undefined)
    return {
      over: false,
      withdrawn: false,
      waitsFor: `podNetwork is off, but ${remaining} network from us and ${cniConfDir} holds no other configuration: pods are served until it does`,
    }
  return {
    over: false,
    withdrawn: await removeConflist(cniConfDir),
    waitsFor: `podNetwork is off, and what ${remaining} network by goes with the last of them: ${successor} serves new ones`,
  }
}

/**
 * All that bears our mark.
 * @returns what was asked of the kernel, and a sentence for what has to stay.
 * @throws {CommandError}
 */
export async function removePodNetwork(
  kernel: Kernel,
  rules: PodRules,
): Promise<{ changes: readonly Change[]; failures: readonly Failure[]; kept: readonly string[] }> {
  await rules.clean()
  const routes = [...(await kernel.routes(4, { ours: true })), ...(await kernel.routes(6, { ours: true }))]
  const links = linkRemovals(await kernel.links())
  const changes = [
    ...routes.map(({ destination, device }) =>
      deleteRoute(device === undefined ? { destination } : { destination, device }),
    ),
    ...links.changes,
  ]
  return { changes, failures: changes.length === 0 ? [] : await kernel.apply(changes), kept: links.kept }
}
