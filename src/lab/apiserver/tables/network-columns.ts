// The columns of Services, EndpointSlices and Endpoints.
import { type Fields, type KubeObject, listOfFields, textAt } from '../kube-object.ts'
import { type Column, column, wide } from './column.ts'
import { formatLabels } from './labels.ts'

/** The number of addresses before "+ N more...". */
const maxAddresses = 3

export function serviceColumns(name: Column, age: Column): readonly Column[] {
  return [
    name,
    column('Type', (service) => textAt(service, 'spec.type')),
    column('Cluster-IP', (service) => textAt(service, 'spec.clusterIP') || '<none>'),
    column('External-IP', externalAddresses),
    column('Port(s)', ({ spec }) => formatPorts(listOfFields(spec?.['ports']))),
    age,
    wide('Selector', ({ spec }) => formatLabels(spec?.['selector'])),
  ]
}

export function endpointSliceColumns(name: Column, age: Column): readonly Column[] {
  return [
    name,
    column('AddressType', (slice) => textAt(slice, 'addressType')),
    column('Ports', ({ ports }) =>
      shortened(
        listOfFields(ports).map((port) => textAt(port, 'port') || '*'),
        '<unset>',
      ),
    ),
    column('Endpoints', ({ endpoints }) =>
      shortened(
        listOfFields(endpoints).flatMap(({ addresses }) => (Array.isArray(addresses) ? addresses.map(String) : [])),
        '<unset>',
      ),
    ),
    age,
  ]
}

/** Formats the ready addresses of an Endpoints object: "10.0.0.1:80,10.0.0.2:80 + 3 more...". */
export function endpointAddresses({ subsets }: KubeObject): string {
  const all = listOfFields(subsets).flatMap((subset) => {
    const addresses = listOfFields(subset['addresses']).map((address) => textAt(address, 'ip'))
    const ports = listOfFields(subset['ports'])
    return ports.length === 0
      ? addresses
      : ports.flatMap((port) =>
          addresses.map((address) => `${address.includes(':') ? `[${address}]` : address}:${textAt(port, 'port')}`),
        )
  })
  return shortened(all, '<none>')
}

function externalAddresses(service: KubeObject): string {
  const { spec, status } = service
  const own = Array.isArray(spec?.['externalIPs']) ? spec['externalIPs'].map(String) : []
  const type = textAt(service, 'spec.type')
  if (type === 'ExternalName') return textAt(service, 'spec.externalName')
  if (type === 'LoadBalancer') {
    const balancer = status?.['loadBalancer']
    const given = listOfFields((balancer as Fields | undefined)?.['ingress']).map(
      (ingress) => textAt(ingress, 'ip') || textAt(ingress, 'hostname'),
    )
    return [...given, ...own].join(',') || '<pending>'
  }
  return own.join(',') || '<none>'
}

function formatPorts(ports: readonly Fields[]): string {
  if (ports.length === 0) return '<none>'
  return ports
    .map((port) => {
      const nodePort = textAt(port, 'nodePort')
      return `${textAt(port, 'port')}${nodePort === '' ? '' : `:${nodePort}`}/${textAt(port, 'protocol')}`
    })
    .join(',')
}

function shortened(items: readonly string[], none: string): string {
  if (items.length === 0) return none
  const more = items.length - maxAddresses
  return `${items.slice(0, maxAddresses).join(',')}${more > 0 ? ` + ${more} more...` : ''}`
}
