// CHECK: whether the kernel still holds what ADD made. CRI-O asks right after each ADD, so it has to be exact and
// quick.
import type { Link, Route } from '../kernel/observed.ts'
import type { PodAttachment } from './attachment-codec.ts'
import { CniError, cniCodes } from './cni/cni-error.ts'
import type { CheckRequest } from './cni/cni-request.ts'
import type { PodContext } from './context.ts'
import { gatewayOf } from './ipam.ts'
import { attachmentOf, isOfNetwork } from './find-attachment.ts'
import { checkNetns } from './netns-identity.ts'
import { podAddresses } from './result.ts'

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
  const [hostLinks, podLinks, ...routes] = await Promise.all([
    kernel.links(),
    kernel.linksIn(request.netns),
    ...families.map((family) => kernel.routesIn(request.netns, family)),
  ])
  const differences = [
    ...resultDifferences(attachment, request),
    ...hostDifferences(
      attachment,
      state.settings?.bridge,
      hostLinks.find((link) => link.name === attachment.hostInterface),
    ),
    ...podDifferences(
      attachment,
      podLinks.find((link) => link.name === attachment.podInterface),
    ),
    ...routeDifferences(attachment, routes.flat()),
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

function podDifferences(attachment: PodAttachment, link: Link | undefined): string[] {
  const { podInterface, podMac, mtu } = attachment
  if (link === undefined) return [`${podInterface} is missing`]
  const missing = podAddresses(attachment).filter(
    ({ address, prefix }) => !link.addresses.some((held) => held.address === address && held.prefix === prefix),
  )
  return [
    ...missing.map(({ address, prefix }) => `${podInterface} lacks address ${address}/${prefix}`),
    ...(link.mac === podMac ? [] : [`${podInterface} has MAC ${link.mac} instead of ${podMac}`]),
    ...(link.mtu === mtu ? [] : [`${podInterface} has MTU ${link.mtu} instead of ${mtu}`]),
    ...(link.up ? [] : [`${podInterface} is down`]),
  ]
}

function routeDifferences({ podCidrs, podInterface }: PodAttachment, routes: readonly Route[]): string[] {
  const hasDefault = (gateway: string): boolean =>
    routes.some((route) => route.destination.prefix === 0 && route.gateway === gateway && route.device === podInterface)
  return podCidrs
    .map(gatewayOf)
    .flatMap((gateway) => (hasDefault(gateway) ? [] : [`the default route via ${gateway} is missing`]))
}
