// CHECK: whether the kernel still holds what ADD made. CRI-O asks right after each ADD, so it has to be exact and
// quick.
import type { Link } from '../kernel/observed.ts'
import type { PodAttachment } from './attachment-codec.ts'
import { CniError, cniCodes } from './cni/cni-error.ts'
import type { CheckRequest } from './cni/cni-request.ts'
import type { PodContext } from './context.ts'
import { attachmentOf, isOfNetwork } from './find-attachment.ts'
import { checkNetns } from './netns-identity.ts'
import { diffPodSide } from './pod-side/diff.ts'

/** @throws {CniError} that names every difference */
export async function check({ kernel, state }: PodContext, request: CheckRequest): Promise<void> {
  const attachment = attachmentOf(state, request)
  if (attachment === undefined || !isOfNetwork(attachment, request))
    throw new CniError(
      cniCodes.unknownContainer,
      `container ${request.containerId} has no ${request.podInterface} of ours in network ${request.network}`,
    )
  checkNetns(request.netns, request.netnsId)
  const families = attachment.podCidrs.map(({ family }) => family)
  const [hostLinks, inside] = await Promise.all([kernel.links(), kernel.stateIn(request.netns, families)])
  const differences = [
    ...resultDifferences(attachment, request),
    ...hostDifferences(
      attachment,
      state.settings?.bridge,
      hostLinks.find((link) => link.name === attachment.hostInterface),
    ),
    ...diffPodSide(attachment, inside, (address) => state.macOf(address)).map(({ what }) => what),
  ]
  if (differences.length > 0)
    throw new CniError(
      cniCodes.stateDiffers,
      `${attachment.podInterface} of container ${attachment.containerId} is not as it was made`,
      { details: differences.join('; ') },
    )
}

/** Plugins after us may have added to the result, but not taken from it. */
function resultDifferences({ addresses }: PodAttachment, { prevResult }: CheckRequest): string[] {
  return addresses
    .filter((address) => !prevResult.ips.some((ip) => ip.address === address))
    .map((address) => `the result of the ADD lacks the pod's address ${address}`)
}

function hostDifferences(
  { hostInterface }: PodAttachment,
  bridge: string | undefined,
  link: Link | undefined,
): string[] {
  if (link === undefined) return [`host interface ${hostInterface} is missing`]
  return [
    link.master === bridge ? [] : [`host interface ${hostInterface} is not on bridge ${bridge}`],
    link.up ? [] : [`host interface ${hostInterface} is down`],
  ].flat()
}
