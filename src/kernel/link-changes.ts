// Changes to links, their addresses and bridge ports. Each is documented by the command it equals.
import type { Address } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import type { Mac } from '../net/mac.ts'
import type { Change } from './change.ts'
import { ourGroup, retiredGroup } from './kernel.ts'

/**
 * `ip link add cni0 address MAC mtu 1450 group 98 type bridge`
 *
 * With an MTU given here the kernel still follows its ports, and goes to 1500 when the last one leaves; one that
 * {@link setMtu} has changed stays (net/bridge, br_mtu_auto_adjust).
 */
export function addBridge(name: InterfaceName, { mac, mtu }: { mac: Mac; mtu?: number }): Change {
  const given = mtu === undefined ? '' : ` mtu ${mtu}`
  return link(name, `add ${name} address ${mac}${given} group ${ourGroup} type bridge`)
}

/**
 * `ip link add fairlead.1 address MAC mtu 1450 group 98 type vxlan id 1 local NODEIP dev eth0 dstport 8472 nolearning`
 */
export function addVxlan(
  name: InterfaceName,
  settings: { mac: Mac; mtu: number; vni: number; port: number; local: Address; device: InterfaceName },
): Change {
  const { mac, mtu, vni, port, local, device } = settings
  return link(
    name,
    `add ${name} address ${mac} mtu ${mtu} group ${ourGroup} type vxlan id ${vni} local ${local} dev ${device} dstport ${port} nolearning`,
  )
}

/** `ip link set fairlead.1 type vxlan id 1 local NODEIP dev eth0`: FDB, neighbours and routes survive it (measured). */
export function moveVxlan(
  name: InterfaceName,
  settings: { vni: number; local: Address; device: InterfaceName },
): Change {
  return link(name, `set ${name} type vxlan id ${settings.vni} local ${settings.local} dev ${settings.device}`)
}

/**
 * `ip link add vethX mtu 1450 group 98 up master cni0 type veth peer name eth0 mtu 1450 address MAC netns
 * /run/netns/N`: both ends at once, the pod's under its final name in its own namespace. A clash there gives `exists`
 * and creates nothing.
 */
export function addVeth(
  host: InterfaceName,
  settings: { mtu: number; master: InterfaceName; pod: InterfaceName; podMac: Mac; netns: string },
): Change {
  const { mtu, master, pod, podMac, netns } = settings
  return link(
    host,
    `add ${host} mtu ${mtu} group ${ourGroup} up master ${master} type veth peer name ${pod} mtu ${mtu} address ${podMac} netns ${safePath(netns)}`,
  )
}

/** `ip link set vethX type bridge_slave hairpin on` */
export function setHairpin(name: InterfaceName): Change {
  return {
    tool: 'ip',
    line: `link set ${name} type bridge_slave hairpin on`,
    kind: 'bridge-port',
    object: `bridge port ${name}`,
  }
}

/** `ip link set vethX master cni0` */
export function setMaster(name: InterfaceName, master: InterfaceName): Change {
  return { tool: 'ip', line: `link set ${name} master ${master}`, kind: 'bridge-port', object: `bridge port ${name}` }
}

/** `ip link set vethX down nomaster group 99`: cut off at once, deleted later with its group. */
export function retireVeth(name: InterfaceName): Change {
  return link(name, `set ${name} down nomaster group ${retiredGroup}`)
}

/** `ip link del group 99`: one wait for RCU instead of one each. */
export function deleteRetired(): Change {
  return { tool: 'ip', line: `link del group ${retiredGroup}`, kind: 'link', object: `links of group ${retiredGroup}` }
}

/** `ip link set X up` */
export function setUp(name: InterfaceName): Change {
  return link(name, `set ${name} up`)
}

/** `ip link set X mtu N` */
export function setMtu(name: InterfaceName, mtu: number): Change {
  return link(name, `set ${name} mtu ${mtu}`)
}

/** `ip link set X address MAC` */
export function setMac(name: InterfaceName, mac: Mac): Change {
  return link(name, `set ${name} address ${mac}`)
}

/** `ip link set X group 98`: marks a link that we adopt as ours. */
export function setGroup(name: InterfaceName): Change {
  return link(name, `set ${name} group ${ourGroup}`)
}

/** `ip link set X alias "ns/pod"`, for people; anything but letters, digits and `/._-` is left out. */
export function setAlias(name: InterfaceName, alias: string): Change {
  return link(name, `set ${name} alias ${alias.replaceAll(/[^\w/.-]/g, '').slice(0, 255) || '-'}`)
}

/** `ip link set X alias ""` */
export function clearAlias(name: InterfaceName): Change {
  return link(name, `set ${name} alias ""`)
}

/** `ip link del X` */
export function deleteLink(name: InterfaceName): Change {
  return link(name, `del ${name}`)
}

/**
 * `ip addr replace 10.244.1.1/24 dev cni0`; IPv6 without duplicate address detection, since no one else can have it.
 */
export function replaceAddress(device: InterfaceName, address: Address, prefix: number): Change {
  const nodad = address.includes(':') ? ' nodad' : ''
  return {
    tool: 'ip',
    line: `addr replace ${address}/${prefix} dev ${device}${nodad}`,
    kind: 'address',
    object: `address ${address}/${prefix} on ${device}`,
  }
}

/** `ip addr del 10.244.1.1/24 dev cni0` */
export function deleteAddress(device: InterfaceName, address: Address, prefix: number): Change {
  return {
    tool: 'ip',
    line: `addr del ${address}/${prefix} dev ${device}`,
    kind: 'address',
    object: `address ${address}/${prefix} on ${device}`,
  }
}

function link(name: InterfaceName, rest: string): Change {
  return { tool: 'ip', line: `link ${rest}`, kind: 'link', object: `link ${name}` }
}

/** @throws {TypeError} for a path that iproute2 could read as more than one word. */
export function safePath(path: string): string {
  if (!/^\/[\w./:-]+$/.test(path))
    throw new TypeError(`Expected an absolute path of letters, digits and ./:_-, got \`${path.slice(0, 80)}\``)
  return path
}
