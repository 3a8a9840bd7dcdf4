// GC: of one network, everything that the runtime does not know is taken away (CNI spec 1.1.0, "GC").
import { hostVethName } from '../net/interface-name.ts'
import type { GcRequest } from './cni/cni-request.ts'
import type { PodContext } from './context.ts'
import { detach } from './detach.ts'

export async function collectGarbage(context: PodContext, { network, validAttachments }: GcRequest): Promise<void> {
  const valid = new Set(
    validAttachments.map(({ containerId, podInterface }) => hostVethName(containerId, podInterface)),
  )
  const stale = [...context.state.attachments.values()].filter(
    (attachment) => attachment.network === network && !valid.has(attachment.hostInterface),
  )
  for (const { containerId, pod } of stale)
    context.log.info(
      { container: containerId, pod: pod && `${pod.namespace}/${pod.name}` },
      'the runtime no longer has this container; its attachment is taken away',
    )
  if (stale.length > 0) await detach(context, stale)
}
