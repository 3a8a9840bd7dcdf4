// What has to change for the bridge to be as desired. Pure.
import type { Change } from '../../kernel/change.ts'
import { ourGroup } from '../../kernel/kernel.ts'
import {
  addBridge,
  deleteAddress,
  replaceAddress,
  setAlias,
  setGroup,
  setHairpin,
  setMac,
  setMaster,
  setMtu,
  setUp,
} from '../../kernel/link-changes.ts'
import type { Link } from '../../kernel/observed.ts'
import type { DesiredBridge } from './desired.ts'

/** Something of that name is in use by others; nothing was changed. */
export class BridgeConflictError extends Error {
  override readonly name = 'BridgeConflictError'
}

/**
 * @param takeOver share a bridge that others still have ports on
 * @throws {BridgeConflictError} when the name belongs to something else
 */
export function diffBridge(desired: DesiredBridge, links: readonly Link[], takeOver: boolean): Change[] {
  const byName = new Map(links.map((link) => [link.name, link]))
  const bridge = byName.get(desired.name)
  const foreignPorts = foreignPortsOf(desired.name, links)
  if (bridge !== undefined) refuseConflict(bridge, foreignPorts, takeOver)
  return [
    ...bridgeChanges(desired, bridge, foreignPorts.length > 0),
    ...desired.ports.flatMap((port) => portChanges(desired, port, byName.get(port.name))),
  ]
}

/** Ports that do not bear our mark. */
export function foreignPortsOf(bridge: string, links: readonly Link[]): Link[] {
  return links.filter((link) => link.master === bridge && link.group !== ourGroup)
}

function refuseConflict(found: Link, foreignPorts: readonly Link[], takeOver: boolean): void {
  if (found.type !== 'bridge') {
    throw new BridgeConflictError(
      `${found.name} is ${found.type === undefined ? 'a hardware interface' : `a ${found.type} interface`} and not a bridge: remove it, or choose another bridge name`,
    )
  }
  if (found.group !== ourGroup && foreignPorts.length > 0 && !takeOver) {
    const [first] = foreignPorts
    throw new BridgeConflictError(
      `${found.name} is another's bridge with ${foreignPorts.length} ports (${first?.name}${foreignPorts.length > 1 ? ', ...' : ''}): remove the other network and its pods, choose another bridge name, or set takeOver to share it until they are gone`,
    )
  }
}

function bridgeChanges(desired: DesiredBridge, found: Link | undefined, shared: boolean): Change[] {
  const { name, mac, mtu, gateways } = desired
  const missing = gateways
    .filter((gateway) => !includes(found?.addresses ?? [], gateway))
    .map(({ address, prefix }) => replaceAddress(name, address, prefix))
  if (found === undefined) return [addBridge(name, { mac }), setMtu(name, mtu), ...missing, setUp(name)]
  const changes = [...missing]
  if (found.group !== ourGroup) changes.push(setGroup(name))
  if (found.mac !== mac) changes.push(setMac(name, mac))
  if (found.mtu !== mtu) changes.push(setMtu(name, mtu))
  if (!found.up) changes.push(setUp(name))
  // The gateway of others' pods stays as long as they do.
  if (!shared)
    for (const old of found.addresses)
      if (old.scope === 'global' && !includes(gateways, old)) changes.push(deleteAddress(name, old.address, old.prefix))
  return changes
}

/**
 * A port that is not there is not made here: without its pod's end it would be of no use, and reclaim tells that the
 * attachment is dead.
 */
function portChanges(desired: DesiredBridge, port: DesiredBridge['ports'][number], found: Link | undefined): Change[] {
  if (found?.type !== 'veth') return []
  const changes: Change[] = []
  const enslaved = found.master === desired.name
  if (!enslaved) changes.push(setMaster(port.name, desired.name))
  // A port that is new on a bridge starts without hairpin.
  if (!enslaved || found.hairpin !== true) changes.push(setHairpin(port.name))
  if (found.mtu !== port.mtu) changes.push(setMtu(port.name, port.mtu))
  if (!found.up) changes.push(setUp(port.name))
  if (found.alias !== port.alias) changes.push(setAlias(port.name, port.alias))
  return changes
}

type Prefixed = DesiredBridge['gateways'][number]

function includes(all: readonly Prefixed[], one: Prefixed): boolean {
  return all.some(({ address, prefix }) => address === one.address && prefix === one.prefix)
}
