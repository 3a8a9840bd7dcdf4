// Which endpoints a Service has, as the real controller decides (kubernetes staging/src/k8s.io/endpointslice): pure.
//
// An endpoint is an address of a pod that the selector finds, whatever state the pod is in but finished: conditions say
// what may be sent to it. Endpoints that answer on the same numbers stand together; a port that is named may have
// another number in each pod, and a pod without it has no endpoint there.
import type { SliceEndpoint, SlicePort } from './endpoint-slice-view.ts'
import type { NodeView } from './node-view.ts'
import type { PodView } from './pod-view.ts'
import type { AddressType, ServicePortView, ServiceView } from './service-view.ts'

/** Endpoints of one family that answer on the same ports. */
export interface EndpointGroup {
  readonly addressType: AddressType
  readonly ports: readonly SlicePort[]
  readonly endpoints: readonly SliceEndpoint[]
}

const zoneLabel = 'topology.kubernetes.io/zone'

/** @param pods those of the Service's namespace. Answers groups in a stable order. */
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
      // A headless Service may be without ports; any other has nothing to send to a pod that has none of them.
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

/** The same for groups, and slices, that belong together. */
export function groupKey({ addressType, ports }: { addressType: string; ports: readonly SlicePort[] }): string {
  return `${addressType} ${ports.map(({ name, protocol, port, appProtocol = '' }) => `${name}/${protocol}/${port}/${appProtocol}`).join(' ')}`
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
  // Published whatever their state: then "ready" is true, also of a pod that is ending.
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

/** trafficDistribution is made into hints, which is all that proxies read. */
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
