// DEL: succeeds for whatever is gone already, and fails only where a repetition may help (the pod stays Terminating
// until then).
import { hostVethName } from '../net/interface-name.ts'
import type { DelRequest } from './cni/cni-request.ts'
import type { PodContext } from './context.ts'
import { detach } from './detach.ts'
import { attachmentOf } from './find-attachment.ts'

/** Whatever the network: a runtime sends the configuration of now, which may have been renamed since the ADD. */
export async function del(context: PodContext, request: DelRequest): Promise<void> {
  const { state, retired } = context
  const found = attachmentOf(state, request)
  if (found !== undefined) return await detach(context, [found])
  const hostInterface = hostVethName(request.containerId, request.podInterface)
  if (!state.strays.has(hostInterface)) return
  const { netns, netnsId } = request
  const [failure] = await retired.retire([{ hostInterface, netns, netnsId }])
  if (failure !== undefined) throw failure.error
}
