// Which health check node ports a node answers on, and with what: pure.
//
// Only a LoadBalancer with externalTrafficPolicy Local has one: its load balancer asks each node whether it has
// endpoints of its own. What counts are the addresses of this node's ready endpoints over all ports that slices have,
// as with kube-proxy. One that is ending is not ready, although packets still go to it, so that the load balancer goes
// elsewhere first; with publishNotReadyAddresses it is ready to its end, and counts.
import type { ClusterEndpointSlice } from '../../cluster/endpoint-slice.ts'
import type { Family } from '../../net/address.ts'
import { endpointsOf } from '../endpoints.ts'
import type { ServicePort } from '../service-port.ts'

export interface ServiceHealthCheck {
  readonly family: Family
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** Of the node. */
  readonly port: number
  readonly localEndpoints: number
}

/** One for each Service and family that has such a port. @param ports of any Services @param slices of any Services */
export function serviceHealthChecks(
  ports: Iterable<ServicePort>,
  slices: Iterable<ClusterEndpointSlice>,
  nodeName: string,
): ServiceHealthCheck[] {
  const asked = new Map(
    [...ports]
      .filter(({ healthCheckNodePort }) => healthCheckNodePort !== 0)
      .map((port) => [`${port.family} ${port.namespace}/${port.name}`, port]),
  )
  const all = asked.size === 0 ? [] : [...slices]
  return Array.from(asked.values(), (port) => ({
    family: port.family,
    namespace: port.namespace,
    name: port.name,
    uid: port.uid,
    port: port.healthCheckNodePort,
    localEndpoints: localEndpoints(port, all, nodeName),
  }))
}

/** Of the port's Service, by address: 10.0.0.1:80 and 10.0.0.1:443 are one. */
function localEndpoints(port: ServicePort, slices: readonly ClusterEndpointSlice[], nodeName: string): number {
  const own = slices.filter(({ service, namespace }) => service === port.name && namespace === port.namespace)
  const joined = new Map(own.flatMap((slice) => slice.ports).map((each) => [`${each.name}/${each.protocol}`, each]))
  const endpoints = [...joined.values()].flatMap(({ name, protocol }) =>
    endpointsOf({ ...port, portName: name, protocol }, own, nodeName),
  )
  return new Set(endpoints.filter(({ local, ready }) => local && ready).map(({ address }) => address)).size
}
