// Service -> the ports that one family proxies, each field decided as kube-proxy decides it.
import type { ClusterService, ClusterServicePort } from '../cluster/service.ts'
import { type Address, type Family, familyOf } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import { flatString } from '../net/flat-string.ts'
import type { ServicePort } from './service-port.ts'

/**
 * None where the Service has no ClusterIP of the family: its external addresses and node ports of that family are not
 * served either.
 */
export function servicePortsOf(service: ClusterService, family: Family): readonly ServicePort[] {
  const clusterIp = service.clusterIps.find((address) => familyOf(address) === family)
  if (clusterIp === undefined) return []
  const { namespace, name, affinitySeconds, createdAt, uid } = service
  const externalLocal = isExternalLocal(service)
  const shared = {
    family,
    namespace,
    name,
    clusterIp,
    externalIps: ofFamily(service.externalIps, family),
    loadBalancerIps: ofFamily(service.loadBalancerIps, family),
    sourceRanges: restrictionsOf(service.sourceRanges, family),
    internalLocal: service.internalTrafficPolicy === 'Local',
    externalLocal,
    healthCheckNodePort: service.type === 'LoadBalancer' && externalLocal ? service.healthCheckNodePort : 0,
    affinitySeconds,
    createdAt,
    uid,
  }
  return service.ports.map(({ name: portName, protocol, port, nodePort }) => ({
    id: portId(service, portName),
    portName,
    protocol,
    port,
    nodePort,
    ...shared,
  }))
}

function portId({ namespace, name }: ClusterService, portName: ClusterServicePort['name']): string {
  return portName === '' ? flatString(namespace, '/', name) : flatString(namespace, '/', name, ':', portName)
}

/** The policy counts where there is external traffic: of a ClusterIP Service only through externalIPs. */
function isExternalLocal({ type, externalTrafficPolicy, externalIps }: ClusterService): boolean {
  return externalTrafficPolicy === 'Local' && (type !== 'ClusterIP' || externalIps.length > 0)
}

function ofFamily(addresses: readonly Address[], family: Family): readonly Address[] {
  return addresses.length === 0 ? addresses : [...new Set(addresses.filter((address) => familyOf(address) === family))]
}

/**
 * A range of all addresses restricts nothing, whatever stands beside it. So do ranges of the other family alone, as
 * with kube-proxy.
 */
function restrictionsOf(ranges: readonly Cidr[], family: Family): readonly Cidr[] {
  if (ranges.length === 0) return ranges
  const own = ranges.filter((range) => range.family === family)
  return own.some(({ prefix }) => prefix === 0) ? [] : own
}
