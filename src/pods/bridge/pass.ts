// One pass over the bridge: what it is to be, what it is, and the difference applied.
import type { Change } from '../../kernel/change.ts'
import type { Failure, Kernel } from '../../kernel/kernel.ts'
import type { Link } from '../../kernel/observed.ts'
import type { Address } from '../../net/address.ts'
import type { PodContext } from '../context.ts'
import { formerAddresses } from '../former-addresses.ts'
import { hostLocalAddresses } from '../host-local.ts'
import type { PodNetworkSettings } from '../node-state.ts'
import { applyBridge } from './apply.ts'
import { desiredBridge, neededSysctls } from './desired.ts'
import { diffBridge, foreignPortsOf } from './diff.ts'
import { observeReach } from './observe.ts'
import { diffReach } from './reach.ts'

export interface PodNetworkPass {
  readonly changes: readonly Change[]
  readonly failures: readonly Failure[]
  /** What is wrong: a sentence each. */
  readonly problems: readonly string[]
  /** Why no pod can be served; undefined where one can. */
  readonly blocked: string | undefined
}

/**
 * Brings the bridge and its ports to their desired state.
 * @param observed.links all links of the node
 * @param observed.settled host veths whose ADD had ended before the links were read
 * @throws {BridgeConflictError} when the bridge's name belongs to something else; nothing has changed then.
 * @throws {CommandError}
 */
export async function reconcileBridge(
  { kernel, state, cniDir }: PodContext,
  settings: PodNetworkSettings,
  { links, settled }: { readonly links: readonly Link[]; readonly settled: ReadonlySet<string> },
): Promise<PodNetworkPass> {
  const met = async (): Promise<Address[]> =>
    links.some(({ name }) => name === settings.bridge) ? await addressesOn(kernel, settings) : []
  // Whoever has an address of ours there may be silent now.
  const shared = foreignPortsOf(settings.bridge, links).length > 0 || state.strays.size > 0
  state.holdBack(shared ? [...(await met()), ...(await hostLocalAddresses(cniDir))] : undefined)
  await state.restMet(met)
  const reach = await observeReach(kernel, settings, links)
  const { changes, failures, problems } = await applyBridge(kernel, () => {
    const desired = desiredBridge(settings, state.attachments.values())
    const ports = desired.ports.filter(({ name }) => settled.has(name))
    return {
      desired,
      changes: [
        ...diffBridge({ ...desired, ports }, links, settings.takeOver),
        ...diffReach(desired, reach, shared ? [] : settings.podCidrs),
      ],
    }
  })
  const former = formerAddresses(state.attachments.values(), settings.podCidrs)
  return {
    changes,
    failures,
    problems: [
      ...problems.map(({ sentence }) => sentence),
      ...(former === undefined ? [] : [former]),
      ...Array.from(state.strays, strayProblem),
    ],
    blocked:
      failures.find(({ change }) => isOfBridge(change, settings.bridge))?.error.message ??
      problems.find(({ key }) => neededSysctls.includes(key))?.sentence,
  }
}

/** A port may vanish at any time, and a route or a neighbour is no reason to start no pod. */
function isOfBridge({ kind, object }: Change, bridge: string): boolean {
  return (kind === 'link' || kind === 'address') && object.endsWith(` ${bridge}`)
}

function strayProblem([hostInterface, why]: readonly [string, string]): string {
  return `${hostInterface} may be of a running pod, but its record is lost and ${why}: it is left alone, without host ports and limits of ours; delete its pod, so that it is made anew`
}

/** Returns the addresses that have answered on the bridge. One that the kernel only asks for may be nobody's. */
async function addressesOn(kernel: Kernel, { bridge, podCidrs }: PodNetworkSettings): Promise<Address[]> {
  const neighbours = await Promise.all(podCidrs.map(({ family }) => kernel.neighbours(family, bridge)))
  return neighbours.flat().flatMap(({ address, mac }) => (mac === undefined ? [] : [address]))
}
