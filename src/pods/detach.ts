// Taking attachments away: what DEL, GC, reclaim and an ADD that replaces another have in common.
import type { PodAttachment } from './attachment-codec.ts'
import type { PodContext } from './context.ts'

/**
 * Cuts the veths off, withdraws ports, limits and verdicts, frees the addresses, removes the files; in this order, so
 * that a crash at any point leaves files whose veths are gone, which reclaim finds. Idempotent.
 * @throws when something could not be taken away; those attachments stay known, for the next try.
 */
export async function detach(context: PodContext, attachments: readonly PodAttachment[]): Promise<void> {
  const { state, retired } = context
  // First out of sight, so that a reconcile that runs meanwhile does not put a port back.
  for (const attachment of attachments) state.attachments.delete(attachment.hostInterface)
  try {
    const [failure] = await retired.retire(attachments)
    if (failure !== undefined) throw failure.error
    await withdraw(context, attachments)
  } catch (error) {
    for (const attachment of attachments) state.attachments.set(attachment.hostInterface, attachment)
    throw error
  }
  for (const attachment of attachments) state.forget(attachment)
}

/** The hooks' part of it, in one call each. */
async function withdraw({ hooks }: PodContext, attachments: readonly PodAttachment[]): Promise<void> {
  const withPorts = attachments.filter(({ portMappings }) => portMappings.length > 0)
  const limited = attachments.filter(({ bandwidth }) => bandwidth !== undefined)
  hooks.policy.remove(attachments)
  await Promise.all([
    withPorts.length > 0 ? hooks.hostPorts.remove(withPorts) : undefined,
    limited.length > 0 ? hooks.bandwidth.remove(limited) : undefined,
  ])
}
