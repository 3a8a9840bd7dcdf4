// Pods that are there follow a new MTU: a veth drops without a word what its other end is too small for.
import { setMtu } from '../kernel/link-changes.ts'
import type { PodAttachment } from './attachment-codec.ts'
import { type CommandQueue, subjectsOf } from './command-queue.ts'
import type { PodContext } from './context.ts'

/**
 * Changes the pods' ends and notes it; the host's ends follow with the bridge's ports. What fails is tried again with
 * the next reconcile.
 */
export async function followMtu(context: PodContext, queue: CommandQueue, mtu: number): Promise<void> {
  const { state } = context
  const others = [...state.attachments.values()].filter(
    (attachment) => attachment.mtu !== mtu && !queue.isBusy(subjectsOf(attachment)),
  )
  await Promise.all(
    others.map((attachment) =>
      queue.run(subjectsOf(attachment), async () => {
        if (state.attachments.get(attachment.hostInterface) === attachment) await changePod(context, attachment, mtu)
      }),
    ),
  )
}

async function changePod(
  { kernel, state, hooks, log }: PodContext,
  attachment: PodAttachment,
  mtu: number,
): Promise<void> {
  try {
    // Its rate limits let a packet of full size pass, before the first one comes.
    if (attachment.bandwidth !== undefined) await hooks.bandwidth.add({ ...attachment, mtu })
    const [failure] = await kernel.applyIn(attachment.netns, [setMtu(attachment.podInterface, mtu)])
    if (failure !== undefined) throw failure.error
    state.record({ ...attachment, mtu })
  } catch (error) {
    log.warn({ err: error, netns: attachment.netns }, `a pod could not be given MTU ${mtu}; it is tried again`)
  }
}
