// Changes to routes, neighbours and forwarding entries. Each is documented by the command it equals.
import type { Address, Family } from '../net/address.ts'
import { type Cidr, formatCidr } from '../net/cidr.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import type { Mac } from '../net/mac.ts'
import type { Change } from './change.ts'
import { ourProtocol } from './kernel.ts'

export interface RouteSettings {
  readonly destination: Cidr
  readonly device: InterfaceName
  /** Absent for a route to what is on the link itself. */
  readonly gateway?: Address
  /** The gateway is reachable on the device though no address says so. */
  readonly onlink?: boolean
  readonly source?: Address
}

/** `ip route replace 10.244.2.0/24 via 10.244.2.0 dev fairlead.1 onlink proto 98` */
export function replaceRoute(route: RouteSettings): Change {
  const { destination, gateway, device, onlink, source } = route
  const words = [
    `route replace ${formatCidr(destination)}`,
    gateway === undefined ? '' : `via ${gateway}`,
    `dev ${device}`,
    onlink === true ? 'onlink' : '',
    source === undefined ? '' : `src ${source}`,
    `proto ${ourProtocol}`,
  ]
  return routeChange(destination, words.filter(Boolean).join(' '))
}

/** `ip route del 10.244.2.0/24 dev fairlead.1 proto 98`: only ever one of ours. */
export function deleteRoute(route: { destination: Cidr; device?: string }): Change {
  const device = route.device === undefined ? '' : ` dev ${route.device}`
  return routeChange(route.destination, `route del ${formatCidr(route.destination)}${device} proto ${ourProtocol}`)
}

/** `ip neigh replace 10.244.2.0 lladdr MAC dev fairlead.1 nud permanent` */
export function replaceNeighbour(device: InterfaceName, address: Address, mac: Mac): Change {
  return {
    tool: 'ip',
    line: `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`,
    kind: 'neighbour',
    object: `neighbour ${address} on ${device}`,
  }
}

/** `ip neigh del 10.244.2.0 dev fairlead.1` */
export function deleteNeighbour(device: InterfaceName, address: Address): Change {
  return {
    tool: 'ip',
    line: `neigh del ${address} dev ${device}`,
    kind: 'neighbour',
    object: `neighbour ${address} on ${device}`,
  }
}

/**
 * `ip neigh replace 10.244.1.5 dev cni0 nud failed`: nothing is known of the neighbour, and the kernel drops what it
 * has kept for it until it answers. `neigh del` does the same, but ends the session where there is no entry.
 */
export function forgetNeighbour(device: InterfaceName, address: Address): Change {
  return {
    tool: 'ip',
    line: `neigh replace ${address} dev ${device} nud failed`,
    kind: 'neighbour',
    object: `neighbour ${address} on ${device}`,
  }
}

/**
 * `ip neigh replace 10.244.1.5 lladdr MAC dev cni0 nud stale`: the entry is true at once, and the kernel asks from now
 * on whether it still is, whatever the entry was before.
 */
export function releaseNeighbour(device: InterfaceName, address: Address, mac: Mac): Change {
  return {
    tool: 'ip',
    line: `neigh replace ${address} lladdr ${mac} dev ${device} nud stale`,
    kind: 'neighbour',
    object: `neighbour ${address} on ${device}`,
  }
}

/** `ip route replace 10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1`: as the address makes it. */
export function connectedRoute(device: InterfaceName, network: Cidr, source: Address): Change {
  const scope = network.family === 4 ? ` scope link src ${source}` : ' metric 256'
  return routeChange(network, `route replace ${formatCidr(network)} dev ${device} proto kernel${scope}`)
}

/**
 * `bridge fdb replace MAC dev fairlead.1 dst NODEIP self permanent` (`append` would be ignored for a known unicast
 * MAC).
 */
export function replaceFdb(device: InterfaceName, mac: Mac, destination: Address): Change {
  return {
    tool: 'bridge',
    line: `fdb replace ${mac} dev ${device} dst ${destination} self permanent`,
    kind: 'fdb',
    object: `fdb ${mac} on ${device}`,
  }
}

/** `bridge fdb del MAC dev fairlead.1 dst NODEIP self` */
export function deleteFdb(device: InterfaceName, mac: Mac, destination: Address | undefined): Change {
  const dst = destination === undefined ? '' : ` dst ${destination}`
  return {
    tool: 'bridge',
    line: `fdb del ${mac} dev ${device}${dst} self`,
    kind: 'fdb',
    object: `fdb ${mac} on ${device}`,
  }
}

/** `ip route replace default via 10.244.1.1 dev eth0`, inside a pod: not marked, since the namespace is the pod's. */
export function addPodDefaultRoute(family: Family, gateway: Address, device: InterfaceName): Change {
  const anywhere = family === 4 ? '0.0.0.0/0' : '::/0'
  return {
    tool: 'ip',
    line: `route replace ${anywhere} via ${gateway} dev ${device}`,
    kind: 'route',
    object: `default route via ${gateway}`,
  }
}

/** `ip route replace 10.244.1.1/32 dev eth0 scope link`, inside a pod whose own address is a /32. */
export function addPodGatewayRoute(gateway: Address, device: InterfaceName): Change {
  const bits = gateway.includes(':') ? 128 : 32
  return {
    tool: 'ip',
    line: `route replace ${gateway}/${bits} dev ${device} scope link`,
    kind: 'route',
    object: `link route to ${gateway}`,
  }
}

function routeChange(destination: Cidr, line: string): Change {
  return { tool: 'ip', line, kind: 'route', object: `route ${formatCidr(destination)}` }
}
