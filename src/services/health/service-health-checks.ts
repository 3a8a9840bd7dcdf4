// Which health check node ports a node answers on, and with what: pure.
//
// Only a LoadBalancer with externalTrafficPolicy Local has one: its load balancer asks each node whether it has endpoints of its own. What counts are the
// addresses of this node's ready endpoints over all ports; one that is ending does not count although packets still go to it, so that the load balancer
// goes elsewhere first.
import type { Address, Family } from '../../net/address.ts'
import type { Endpoint } from '../endpoint.ts'
import type { ServicePort } from '../service-port.ts'

export interface ServiceHealthCheck {
  readonly family: Family
  readonly namespace: string
  readonly name: string
  /** Of the node. */
  readonly port: number
  readonly localEndpoints: number
}

/** One for each Service and family that has such a port. @param ports with the endpoints of each. */
export function serviceHealthChecks(ports: Iterable<{ readonly port: ServicePort; readonly endpoints: readonly Endpoint[] }>): ServiceHealthCheck[] {
  const addresses = new Map<string, { readonly port: ServicePort; readonly local: Set<Address> }>()
  for (const { port, endpoints } of ports) {
    if (port.healthCheckNodePort === 0) continue
    const key = `${port.family} ${port.namespace}/${port.name}`
    const known = addresses.get(key) ?? { port, local: new Set() }
    for (const { address, local, ready, terminating } of endpoints) if (local && ready && !terminating) known.local.add(address)
    addresses.set(key, known)
  }
  return Array.from(addresses.values(), ({ port, local }) => ({ family: port.family, namespace: port.namespace, name: port.name, port: port.healthCheckNodePort, localEndpoints: local.size }))
}
