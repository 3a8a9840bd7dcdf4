// An attachment whose record is lost, put together from what still says it: the veth and its alias, what lies in the
// pod's namespace, and what the runtime has cached of the ADD. Pure.
import type { Link } from '../kernel/observed.ts'
import { type Address, addressBits, type Family, familyOf } from '../net/address.ts'
import { type Cidr, cidrContains, cidrOf } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import { macOf } from '../net/mac.ts'
import type { PortMapping } from './attachment.ts'
import type { PodAttachment } from './attachment-codec.ts'
import type { CachedAdd } from './cni/result-cache.ts'
import { parseAlias } from './veth-alias.ts'

/** What is left of one attachment. */
export interface Traces {
  /** The host veth. */
  readonly host: Link
  /** Path of the namespace that its other end is in; undefined where none is known. */
  readonly netns: string | undefined
  /** st_dev:st_ino of what is at the path. */
  readonly netnsId: string | undefined
  /** The other end; undefined where the namespace cannot be entered. */
  readonly peer: Link | undefined
  readonly cached: CachedAdd | undefined
  /** podCIDRs that this node has or has had, as its bridge and its Node object say. */
  readonly podCidrs: readonly Cidr[]
  /** Host ports that rules in the kernel lead to an address; asked only where nothing is cached. */
  readonly portsOf: (address: Address) => readonly PortMapping[]
}

export type Finding =
  | { readonly kind: 'rebuilt'; readonly attachment: PodAttachment }
  /** An ADD that ended before the pod had an address: nothing runs on it. */
  | { readonly kind: 'half-made' }
  /** A pod may run on it, and too little is known of that pod. */
  | { readonly kind: 'unknown'; readonly why: string }

/**
 * Tells a running pod from what an unfinished ADD left: an ADD gives the address after the veth, and a runtime caches
 * only what was answered.
 */
export function rebuild({ host, netns, netnsId, peer, cached, podCidrs, portsOf }: Traces): Finding {
  // ADD puts the other end into another namespace from the start.
  if (host.peer === undefined) return { kind: 'half-made' }
  const held = cached === undefined ? heldBy(peer) : answeredBy(cached)
  const [first] = held.map(({ address }) => address).toSorted((a, b) => familyOf(a) - familyOf(b))
  if (first === undefined && peer !== undefined) return { kind: 'half-made' }
  if (first === undefined || netns === undefined)
    return { kind: 'unknown', why: 'its namespace has no path in /run/netns and the runtime has cached nothing of it' }
  const given = held.map((each) => podCidrOf(each, podCidrs))
  if (!given.every((cidr) => cidr !== undefined))
    return { kind: 'unknown', why: `no podCIDR of this node has its address ${first}` }
  const hostInterface = parseInterfaceName(host.name)
  const podInterface = cached?.podInterface ?? parseInterfaceName(peer?.name ?? '')
  const owner = cached ?? parseAlias(host.alias, { hostInterface, podInterface })
  const addresses = held.map(({ address }) => address)
  const attachment: PodAttachment = {
    network: owner?.network,
    containerId: owner?.containerId,
    podInterface,
    hostInterface,
    netns,
    netnsId,
    addresses,
    podMac: macOf('pod', first),
    // The agent keeps it; the pod's end may be what is wrong.
    mtu: host.mtu,
    pod: owner?.pod,
    portMappings: cached?.portMappings ?? distinct(addresses.flatMap(portsOf)),
    bandwidth: cached?.bandwidth,
    // Older than every one whose time is known.
    createdAt: 0,
    podCidrs: given,
    routed: held.every(isWhole),
  }
  return { kind: 'rebuilt', attachment }
}

interface Held {
  readonly address: Address
  readonly prefix: number
}

/** What the ADD answered. */
function answeredBy({ result: { interfaces, ips }, podInterface }: CachedAdd): Held[] {
  return ips.filter((ip) => ip.interface === undefined || interfaces[ip.interface]?.name === podInterface)
}

/** One address a family: the one that gave the interface its MAC, where the pod has added others. */
function heldBy(peer: Link | undefined): Held[] {
  const global = peer?.addresses.filter(({ scope }) => scope === 'global') ?? []
  return ([4, 6] as const satisfies Family[]).flatMap((family) => {
    const held = global.filter(({ address }) => familyOf(address) === family)
    return held.find(({ address }) => macOf('pod', address) === peer?.mac) ?? held.slice(0, 1)
  })
}

/** A pod that holds its address alone does not say which podCIDR it is from. */
function podCidrOf(held: Held, podCidrs: readonly Cidr[]): Cidr | undefined {
  return isWhole(held) ? podCidrs.find((cidr) => cidrContains(cidr, held.address)) : cidrOf(held.address, held.prefix)
}

function isWhole({ address, prefix }: Held): boolean {
  return prefix === addressBits(familyOf(address))
}

/** A port on every address has a rule in both families. */
function distinct(mappings: readonly PortMapping[]): PortMapping[] {
  return [...new Map(mappings.map((mapping) => [JSON.stringify(mapping), mapping])).values()]
}
