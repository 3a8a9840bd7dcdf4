// What in a pod's namespace is not as its ADD made it. Pure. Whatever else the namespace holds is the pod's affair:
// other interfaces, further addresses, routes to single networks.
import type { Change } from '../../kernel/change.ts'
import { replaceAddress, setMac, setMtu, setUp } from '../../kernel/link-changes.ts'
import type { Link, NamespaceState, Route } from '../../kernel/observed.ts'
import { addPodDefaultRoute, addPodGatewayRoute, connectedRoute, releaseNeighbour } from '../../kernel/route-changes.ts'
import { type Address, addressBits } from '../../net/address.ts'
import { type Cidr, cidrOf, formatCidr } from '../../net/cidr.ts'
import type { Mac } from '../../net/mac.ts'
import type { PodAttachment } from '../attachment-codec.ts'
import { gatewayOf } from '../ipam.ts'
import { podAddresses } from '../result.ts'
import { loopback } from './changes.ts'

export interface PodDrift {
  /** "eth0 is down" */
  readonly what: string
  /** Undefined where nothing of ours puts it back. */
  readonly repair: Change | undefined
  /** Another network of the pod has taken its place, as a meta-plugin such as Multus arranges it. */
  readonly taken?: true
}

/**
 * @param macOf the MAC that the owner of an address on the pod's link has; undefined where it is none of ours
 * @returns in an order in which the repairs can be made
 */
export function diffPodSide(
  attachment: PodAttachment,
  { links, routes, fixedNeighbours }: NamespaceState,
  macOf: (address: Address) => Mac | undefined,
): PodDrift[] {
  const { podInterface } = attachment
  const link = links.find(({ name }) => name === podInterface)
  if (link === undefined) return [{ what: `${podInterface} is missing`, repair: undefined }]
  const lo = links.find(({ name }) => name === loopback)
  const ours = routes.filter(({ device }) => device === podInterface)
  return [
    ...(lo?.up === false ? [{ what: 'lo is down', repair: setUp(loopback) }] : []),
    ...linkDrift(attachment, link),
    ...podAddresses(attachment).flatMap((each, i) => networkDrift(attachment, each, attachment.podCidrs[i], ours)),
    ...attachment.podCidrs.flatMap((podCidr) => defaultDrift(attachment, podCidr, routes)),
    ...fixedNeighbours.flatMap(({ address, mac, device }) => {
      const expected = device === podInterface ? macOf(address) : undefined
      if (expected === undefined || mac === expected) return []
      const what = `neighbour ${address} has MAC ${mac} for good instead of ${expected}`
      return [{ what, repair: releaseNeighbour(podInterface, address, expected) }]
    }),
  ]
}

function linkDrift(attachment: PodAttachment, link: Link): PodDrift[] {
  const { podInterface, podMac, mtu } = attachment
  const missing = podAddresses(attachment).filter(
    ({ address, prefix }) => !link.addresses.some((held) => held.address === address && held.prefix === prefix),
  )
  return [
    ...(link.mac === podMac
      ? []
      : [{ what: `${podInterface} has MAC ${link.mac} instead of ${podMac}`, repair: setMac(podInterface, podMac) }]),
    ...(link.mtu === mtu
      ? []
      : [{ what: `${podInterface} has MTU ${link.mtu} instead of ${mtu}`, repair: setMtu(podInterface, mtu) }]),
    ...missing.map(({ address, prefix }) => ({
      what: `${podInterface} lacks address ${address}/${prefix}`,
      repair: replaceAddress(podInterface, address, prefix),
    })),
    ...(link.up ? [] : [{ what: `${podInterface} is down`, repair: setUp(podInterface) }]),
  ]
}

/** The route to the pod's own network, or to the gateway alone where the pod has no network. */
function networkDrift(
  { podInterface, routed }: PodAttachment,
  { address, prefix }: { address: Address; prefix: number },
  podCidr: Cidr | undefined,
  routes: readonly Route[],
): PodDrift[] {
  if (podCidr === undefined) return []
  const gateway = gatewayOf(podCidr)
  const destination = formatCidr(routed ? cidrOf(gateway, addressBits(podCidr.family)) : cidrOf(address, prefix))
  if (routes.some((route) => formatCidr(route.destination) === destination && route.gateway === undefined)) return []
  return [
    {
      what: `the route to ${destination} is missing`,
      repair: routed
        ? addPodGatewayRoute(gateway, podInterface)
        : connectedRoute(podInterface, cidrOf(address, prefix), address),
    },
  ]
}

function defaultDrift({ podInterface }: PodAttachment, podCidr: Cidr, routes: readonly Route[]): PodDrift[] {
  const gateway = gatewayOf(podCidr)
  const defaults = routes.filter(({ destination, family }) => destination.prefix === 0 && family === podCidr.family)
  if (defaults.some((route) => route.gateway === gateway && route.device === podInterface)) return []
  const taken = defaults.some(({ device }) => device !== podInterface)
  return [
    {
      what: `the default route via ${gateway} is missing`,
      repair: addPodDefaultRoute(podCidr.family, gateway, podInterface),
      ...(taken && { taken }),
    },
  ]
}
