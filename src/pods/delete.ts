// DEL: succeeds for whatever is gone already, and fails only where a repetition may help (the pod stays Terminating
// until then).
import { hostVethName } from '../net/interface-name.ts'
import { attachmentKey } from './attachment-store.ts'
import type { DelRequest } from './cni/cni-request.ts'
import type { PodContext } from './context.ts'
import { detach } from './detach.ts'

export async function del(context: PodContext, request: DelRequest): Promise<void> {
  const { attachments } = context.state
  // A runtime sends the configuration of now, whose network may have been renamed since the ADD; the host veth's name
  // depends on the container alone.
  const hostInterface = hostVethName(request.containerId, request.podInterface)
  const found =
    attachments.get(attachmentKey(request)) ??
    [...attachments.values()].find((attachment) => attachment.hostInterface === hostInterface)
  if (found !== undefined) await detach(context, [found])
}
