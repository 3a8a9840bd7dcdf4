// Computes the endpoints of a Service like the real controller (kubernetes staging/src/k8s.io/endpointslice). Pure.
//
// An endpoint is an address of a pod that matches the selector and is not finished; its conditions say whether it may
// receive traffic. Endpoints with the same port numbers form a group. A named port may have another number in each pod;
// a pod without that port is not an endpoint.
import type { SliceEndpoint, SlicePort } from './endpoint-slice-view.ts'
import type { NodeView } from './node-view.ts'
import type { PodView } from './pod-view.ts'
import type { AddressType, ServicePortView, ServiceView } from './service-view.ts'

/** Endpoints of one family with the same ports. */
export interface EndpointGroup {
  readonly addressType: AddressType
  readonly ports: readonly SlicePort[]
  readonly endpoints: readonly SliceEndpoint[]
}

const zoneLabel = 'topology.kubernetes.io/zone'

/**
 * Computes the endpoints, in a stable order.
 * @param pods the pods of the Service's namespace.
 */
export function endpointGroups(
  service: ServiceView,
  pods: readonly PodView[],
  nodes: ReadonlyMap<string, NodeView>,
): EndpointGroup[] {
  const found = pods.filter((pod) => isEndpoint(pod, service)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const groups = service.families.flatMap((addressType) => {
    const placed = found.flatMap((pod) => {
      const address = pod.addresses.find((text) => text.includes(':') === (addressType === 'IPv6'))
      const ports = portsOf(service, pod)
      // Only a headless Service may have no ports. For others a pod without any of the ports cannot receive traffic.
      if (address === undefined || (ports.length === 0 && service.ports.length > 0)) return []
      return [{ ports, endpoint: endpointOf(service, pod, address, nodes.get(pod.nodeName)) }]
    })
    const byPorts = Map.groupBy(placed, ({ ports }) => JSON.stringify(ports))
    return Array.from(byPorts.values(), (members): EndpointGroup => ({
      addressType,
      ports: members[0]?.ports ?? [],
      endpoints: members.map(({ endpoint }) => endpoint),
    }))
  })
  return groups.toSorted((a, b) => (groupKey(a) < groupKey(b) ? -1 : 1))
}

/** Returns the key that a group and its slices have in common. */
export function groupKey({ addressType, ports }: { addressType: string; ports: readonly SlicePort[] }): string {
  const texts = ports.map(({ name, protocol, port, appProtocol = '' }) => `${name}/${protocol}/${port}/${appProtocol}`)
  return `${addressType} ${texts.join(' ')}`
}

function isEndpoint(pod: PodView, { selector }: ServiceView): boolean {
  if (selector === undefined || pod.finished || pod.nodeName === '') return false
  return Object.entries(selector).every(([key, value]) => pod.labels[key] === value)
}

function portsOf(service: ServiceView, pod: PodView): SlicePort[] {
  return service.ports.flatMap((port) => {
    const number = targetOf(port, pod)
    if (number === undefined) return []
    const { name, protocol, appProtocol } = port
    return [{ name, protocol, port: number, ...(appProtocol === undefined ? {} : { appProtocol }) }]
  })
}

function targetOf({ targetPort, protocol }: ServicePortView, pod: PodView): number | undefined {
  if (typeof targetPort === 'number') return targetPort
  return pod.ports.find((port) => port.name === targetPort && port.protocol === protocol)?.containerPort
}

function endpointOf(service: ServiceView, pod: PodView, address: string, node: NodeView | undefined): SliceEndpoint {
  const { namespace, name, uid, nodeName, deleted: terminating, ready: serving } = pod
  const zone = node?.labels[zoneLabel]
  // publishNotReadyAddresses makes every endpoint ready, even of a terminating pod.
  const ready = service.publishNotReady || (serving && !terminating)
  const hints = ready ? hintsOf(service, nodeName, zone) : undefined
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    targetRef: { kind: 'Pod', namespace, name, uid },
    nodeName,
    ...(zone === undefined ? {} : { zone }),
    ...(hints === undefined ? {} : { hints }),
  }
}

/** Converts trafficDistribution to hints, which is what proxies read. */
function hintsOf(
  { trafficDistribution }: ServiceView,
  nodeName: string,
  zone: string | undefined,
): SliceEndpoint['hints'] {
  const forZones = zone === undefined ? {} : { forZones: [{ name: zone }] }
  if (trafficDistribution === 'PreferSameNode') return { ...forZones, forNodes: [{ name: nodeName }] }
  const sameZone = trafficDistribution === 'PreferClose' || trafficDistribution === 'PreferSameZone'
  return sameZone && zone !== undefined ? forZones : undefined
}
