// ADD: an interface for a pod, all of it or nothing.
//
// One line to the running `ip` session makes the veth with its far end already in the pod's namespace, two more turn
// hairpin on and say whose it is; one short `ip -batch` inside the namespace gives address, up and routes. Then the attachment is written,
// and what policies say of the pod, host ports and limits follow. Killed before the write, the veth is found to be
// without an attachment and removed; killed after it, the attachment is there for the runtime's DEL.
import type { Failure } from '../kernel/kernel.ts'
import { addVeth, setAlias, setHairpin } from '../kernel/link-changes.ts'
import { forgetNeighbour } from '../kernel/route-changes.ts'
import { type Address, familyOf } from '../net/address.ts'
import { hostVethName, type InterfaceName } from '../net/interface-name.ts'
import { macOf } from '../net/mac.ts'
import type { PodAttachment } from './attachment-codec.ts'
import { CniError, cniCodes } from './cni/cni-error.ts'
import type { AddRequest } from './cni/cni-request.ts'
import { inPhase, type PodContext } from './context.ts'
import { detach } from './detach.ts'
import { attachmentOf, isOfNetwork } from './find-attachment.ts'
import { PoolExhaustedError } from './ipam.ts'
import { checkNetns, isSameNamespace } from './netns-identity.ts'
import type { PodNetworkSettings } from './node-state.ts'
import { podSideChanges } from './pod-side/changes.ts'
import { whenReady } from './status.ts'
import { aliasOf } from './veth-alias.ts'

/**
 * @param signal ends a command that took too long, at the next step
 * @throws when the pod cannot have its interface; nothing of it is left then
 */
export async function add(context: PodContext, request: AddRequest, signal: AbortSignal): Promise<PodAttachment> {
  const { state } = context
  const settings = await whenReady(state)
  signal.throwIfAborted()
  checkNetns(request.netns, request.netnsId)
  const known = attachmentOf(state, request)
  if (
    known !== undefined &&
    isOfNetwork(known, request) &&
    isSameNamespace(known, request) &&
    (await isWired(context, known, request.netns))
  ) {
    if (known.containerId !== undefined) return known
    return await attach(context, { ...known, ...detailsOf(request) }, signal)
  }
  // A runtime that lost its state starts over in the same namespace, without a DEL for the container before.
  const replaced = [...state.attachments.values()].filter(
    (other) => other === known || (isSameNamespace(other, request) && other.podInterface === request.podInterface),
  )
  if (replaced.length > 0) await detach(context, replaced)
  signal.throwIfAborted()

  const addresses = await inPhase(context, 'allocate', () => allocate(context))
  return await attach(context, plan(context, settings, request, addresses), signal, settings.bridge)
}

/** @param bridge where the veth is made; undefined where it is there. */
async function attach(
  context: PodContext,
  attachment: PodAttachment,
  signal: AbortSignal,
  bridge?: InterfaceName,
): Promise<PodAttachment> {
  const { state } = context
  state.wiring.add(attachment.hostInterface)
  try {
    if (bridge !== undefined) await inPhase(context, 'veth', () => makeVeth(context, attachment, bridge, signal))
    await inPhase(context, 'namespace', () => setUpNamespace(context, attachment, signal))
    await inPhase(context, 'persist', () => state.record(attachment))
    await inPhase(context, 'policy', () => context.hooks.policy.add(attachment))
    if (attachment.portMappings.length > 0)
      await inPhase(context, 'host-ports', () => context.hooks.hostPorts.add(attachment))
    if (attachment.bandwidth !== undefined)
      await inPhase(context, 'bandwidth', () => context.hooks.bandwidth.add(attachment))
    signal.throwIfAborted()
    return attachment
  } catch (error) {
    await undo(context, attachment)
    throw error
  } finally {
    state.wiring.delete(attachment.hostInterface)
  }
}

function allocate({ state }: PodContext): Address[] {
  try {
    return state.allocate()
  } catch (error) {
    if (error instanceof PoolExhaustedError) throw new CniError(cniCodes.tryAgain, error.message, { cause: error })
    throw error
  }
}

function plan(
  { state }: PodContext,
  settings: PodNetworkSettings,
  request: AddRequest,
  addresses: readonly Address[],
): PodAttachment {
  const { containerId, podInterface } = request
  const [first] = addresses.toSorted((a, b) => familyOf(a) - familyOf(b))
  if (first === undefined) throw new TypeError('Expected an address for each podCIDR, got none')
  return {
    ...detailsOf(request),
    podInterface,
    hostInterface: hostVethName(containerId, podInterface),
    addresses,
    podMac: macOf('pod', first),
    mtu: settings.mtu,
    createdAt: Date.now(),
    podCidrs: settings.podCidrs,
    routed: state.routed,
  }
}

/** What the runtime says of the attachment. */
function detailsOf({ network, containerId, netns, netnsId, pod, portMappings, bandwidth }: AddRequest) {
  return { network, containerId, netns, netnsId, pod, portMappings, bandwidth }
}

async function makeVeth(
  context: PodContext,
  attachment: PodAttachment,
  master: InterfaceName,
  signal: AbortSignal,
): Promise<void> {
  const { hostInterface, mtu, podInterface, podMac, netns, addresses } = attachment
  const changes = [
    // The kernel keeps packets for 3 s until an address answers: those for the pod that had it last are not this one's.
    ...addresses.map((address) => forgetNeighbour(master, address)),
    addVeth(hostInterface, { mtu, master, pod: podInterface, podMac, netns }),
    setHairpin(hostInterface),
    setAlias(hostInterface, aliasOf(attachment)),
  ]
  await context.retired.clearFor(attachment)
  signal.throwIfAborted()
  const apply = async (): Promise<Failure | undefined> =>
    (await context.kernel.apply(changes)).find(({ change }) => change.kind !== 'neighbour')
  let failure = await apply()
  if (failure?.error.kind === 'exists' && (await hostVethExists(context, attachment))) {
    // Named after this very container: left by an agent that was killed, or by a DEL that came in between.
    await context.retired.retire([attachment])
    await context.retired.flush()
    failure = await apply()
  }
  if (failure?.error.kind === 'exists')
    throw new CniError(
      cniCodes.invalidEnvironment,
      `network namespace ${netns} already has an interface ${podInterface}`,
      { details: 'it is not ours: another plugin serves the same pod, or left it behind' },
    )
  // Every kind of namespace has such a file; the kernel says no more than "Invalid argument".
  if (failure?.error.kind === 'other' && !(await isNetworkNamespace(context, netns)))
    throw new CniError(cniCodes.invalidNetns, `CNI_NETNS ${netns} is not a network namespace`, { cause: failure.error })
  if (failure !== undefined) refuse(failure, attachment)
  signal.throwIfAborted()
}

async function isNetworkNamespace({ kernel }: PodContext, netns: string): Promise<boolean> {
  try {
    await kernel.linksIn(netns)
    return true
  } catch {
    return false
  }
}

async function hostVethExists({ kernel }: PodContext, { hostInterface }: PodAttachment): Promise<boolean> {
  return (await kernel.links()).some((link) => link.name === hostInterface)
}

async function setUpNamespace({ kernel }: PodContext, attachment: PodAttachment, signal: AbortSignal): Promise<void> {
  const [failure] = await kernel.applyIn(attachment.netns, podSideChanges(attachment))
  if (failure !== undefined) refuse(failure, attachment)
  signal.throwIfAborted()
}

/** @throws {CniError} for what time or the reconcile mends, the failure itself for the rest. */
function refuse({ error }: Failure, { netns, netnsId }: PodAttachment): never {
  checkNetns(netns, netnsId)
  if (error.kind === 'missing')
    throw new CniError(cniCodes.tryAgain, 'the bridge is missing and is being put back', {
      details: error.message,
      cause: error,
    })
  throw error
}

/** The pod's end alone: the kernel never has one end of a veth without the other. */
async function isWired({ kernel }: PodContext, attachment: PodAttachment, netns: string): Promise<boolean> {
  const links = await kernel.linksIn(netns)
  return links.some((link) => link.name === attachment.podInterface && link.mac === attachment.podMac)
}

async function undo(context: PodContext, attachment: PodAttachment): Promise<void> {
  try {
    // An attachment that was written is taken back as DEL does it; whatever resists stays known, and the runtime's DEL
    // or reclaim finds it.
    await detach(context, [attachment])
  } catch (error) {
    context.log.warn(
      { err: error, container: attachment.containerId },
      'an ADD that failed could not be undone at once',
    )
  }
}
