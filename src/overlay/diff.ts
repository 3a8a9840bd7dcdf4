// From what is to what should be, in the order that never sends a packet astray: what a new path needs comes before its
// route, and what an old path needs goes after it. Pure.
import type { Change } from '../kernel/change.ts'
import {
  addVxlan,
  deleteAddress,
  deleteLink,
  moveVxlan,
  replaceAddress,
  setMac,
  setMtu,
  setUp,
} from '../kernel/link-changes.ts'
import type { InterfaceAddress, Link, Route, VxlanSettings } from '../kernel/observed.ts'
import {
  deleteFdb,
  deleteNeighbour,
  deleteRoute,
  replaceFdb,
  replaceNeighbour,
  replaceRoute,
  type RouteSettings,
} from '../kernel/route-changes.ts'
import { type Address, addressBits, familyOf } from '../net/address.ts'
import { formatCidr } from '../net/cidr.ts'
import { type InterfaceName, parseInterfaceName } from '../net/interface-name.ts'
import { isFormer, isOurs } from './conflict.ts'
import type { ObservedOverlay } from './observe.ts'
import type { OverlayState, VxlanDevice } from './state.ts'

/**
 * Changes to the device itself. Some make the kernel drop peers' entries (a new MAC, a re-creation), so look again
 * before {@link diffPeers}.
 */
export function diffDevice(wanted: VxlanDevice | undefined, links: readonly Link[]): Change[] {
  if (wanted === undefined) return []
  const link = links.find(({ name }) => name === wanted.name)
  // Two of one VNI and port cannot be.
  if (link === undefined)
    return [
      ...links.filter((other) => isFormer(other, wanted.name)).map(({ name }) => deleteLink(parseInterfaceName(name))),
      ...createDevice(wanted),
    ]
  if (link.vxlan === undefined || !canBecome(link.vxlan, wanted))
    return [deleteLink(wanted.name), ...createDevice(wanted)]
  const { name } = wanted
  return [
    ...(link.vxlan.local === wanted.local && link.vxlan.device === wanted.device ? [] : [moveVxlan(name, wanted)]),
    ...(link.mac === wanted.mac ? [] : [setMac(name, wanted.mac)]),
    ...diffAddresses(wanted, link.addresses),
    ...(link.mtu === wanted.mtu ? [] : [setMtu(name, wanted.mtu)]),
    ...(link.up ? [] : [setUp(name)]),
  ]
}

function createDevice(wanted: VxlanDevice): Change[] {
  return [
    addVxlan(wanted.name, wanted),
    ...wanted.addresses.map((address) => addHostAddress(wanted.name, address)),
    setUp(wanted.name),
  ]
}

/**
 * The kernel changes local address and underlay device of a living VXLAN device, but neither VNI, port nor outer
 * family.
 */
function canBecome(is: VxlanSettings, wanted: VxlanDevice): boolean {
  return (
    is.vni === wanted.vni &&
    is.port === wanted.port &&
    !is.learning &&
    is.local !== undefined &&
    familyOf(is.local) === familyOf(wanted.local)
  )
}

/**
 * New ones first: the kernel drops a device's IPv4 routes with its last IPv4 address. Link-local IPv6 is the kernel's
 * own.
 */
function diffAddresses(wanted: VxlanDevice, observed: readonly InterfaceAddress[]): Change[] {
  const matches = (held: InterfaceAddress): boolean =>
    wanted.addresses.includes(held.address) && held.prefix === addressBits(familyOf(held.address))
  const missing = wanted.addresses.filter(
    (address) => !observed.some((held) => held.address === address && matches(held)),
  )
  const stale = observed.filter((held) => !matches(held) && !(familyOf(held.address) === 6 && held.scope === 'link'))
  return [
    ...missing.map((address) => addHostAddress(wanted.name, address)),
    ...stale.map((held) => deleteAddress(wanted.name, held.address, held.prefix)),
  ]
}

function addHostAddress(device: InterfaceName, address: Address): Change {
  return replaceAddress(device, address, addressBits(familyOf(address)))
}

/**
 * Changes to the entries for peers; last of all a device of ours that is no longer wanted goes, when its traffic has
 * other routes.
 */
export function diffPeers(wanted: OverlayState, observed: ObservedOverlay, name: InterfaceName): Change[] {
  const neighbours = wanted.device === undefined ? noChange : diffNeighbours(wanted, observed, name)
  const fdb = wanted.device === undefined ? noChange : diffFdb(wanted, observed, name)
  const routes = diffRoutes(wanted, observed)
  const leftovers = observed.links.filter(
    (link) => wanted.device === undefined && (isOurs(link, name) || isFormer(link, name)),
  )
  return [
    ...neighbours.add,
    ...fdb.add,
    ...routes.add,
    ...routes.remove,
    ...neighbours.remove,
    ...fdb.remove,
    ...leftovers.map((link) => deleteLink(parseInterfaceName(link.name))),
  ]
}

interface Difference {
  readonly add: readonly Change[]
  readonly remove: readonly Change[]
}

const noChange: Difference = { add: [], remove: [] }

function diffNeighbours({ neighbours }: OverlayState, observed: ObservedOverlay, name: InterfaceName): Difference {
  const held = new Map(observed.neighbours.map(({ address, mac }) => [address, mac]))
  return {
    add: [...neighbours]
      .filter(([address, mac]) => held.get(address) !== mac)
      .map(([address, mac]) => replaceNeighbour(name, address, mac)),
    remove: [...held.keys()]
      .filter((address) => !neighbours.has(address))
      .map((address) => deleteNeighbour(name, address)),
  }
}

function diffFdb({ fdb }: OverlayState, observed: ObservedOverlay, name: InterfaceName): Difference {
  const right = new Set(
    observed.fdb.filter((entry) => entry.permanent && fdb.get(entry.mac) === entry.destination).map(({ mac }) => mac),
  )
  return {
    add: [...fdb].filter(([mac]) => !right.has(mac)).map(([mac, destination]) => replaceFdb(name, mac, destination)),
    remove: observed.fdb
      .filter(({ mac }) => !fdb.has(mac))
      .map(({ mac, destination }) => deleteFdb(name, mac, destination)),
  }
}

/**
 * A replace takes the place of one route to its destination. The wrong ones go first where somehow there are several,
 * and where an IPv6 one leads to another device: by it the kernel would look for the new gateway, and refuse that
 * ("device mismatch", ip6_route_check_nh_onlink).
 */
function diffRoutes({ routes }: OverlayState, observed: ObservedOverlay): Difference {
  const held = Map.groupBy(observed.routes, ({ destination }) => formatCidr(destination))
  const add: Change[] = []
  const remove: Change[] = []
  for (const [destination, route] of routes) {
    const there = held.get(destination) ?? []
    const wrong = there.filter((candidate) => !isSameRoute(route, candidate))
    const inTheWay =
      there.length > 1 ||
      (route.onlink === true && wrong.some(({ family, device }) => family === 6 && device !== route.device))
    if (inTheWay) add.push(...wrong.map(deleteObserved))
    if (wrong.length === there.length) add.push(replaceRoute(route))
  }
  for (const [destination, stale] of held) if (!routes.has(destination)) remove.push(...stale.map(deleteObserved))
  return { add, remove }
}

function deleteObserved({ destination, device }: Route): Change {
  return deleteRoute(device === undefined ? { destination } : { destination, device })
}

function isSameRoute(wanted: RouteSettings, { gateway, device, onlink, source }: Route): boolean {
  return (
    gateway === wanted.gateway &&
    device === wanted.device &&
    onlink === (wanted.onlink ?? false) &&
    source === wanted.source
  )
}
