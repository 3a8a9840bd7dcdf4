// Service port + the Service's slices -> its endpoints on this network, each address and port once.
import type { ClusterEndpointSlice, SliceEndpoint } from '../cluster/endpoint-slice.ts'
import { type Endpoint, endpointText } from './endpoint.ts'
import type { ServicePort } from './service-port.ts'

/**
 * Joined by namespace, Service, port name and protocol: the Service's targetPort says nothing, the slice carries the
 * number. In the order of their text ("10.0.0.10:80" before "10.0.0.9:80"), as kube-proxy has them in its chains.
 * @param slices of this Service at least; others are passed over.
 */
export function endpointsOf(
  port: ServicePort,
  slices: Iterable<ClusterEndpointSlice>,
  nodeName: string,
): readonly Endpoint[] {
  const found = new Map<string, Endpoint>()
  const own = [...slices].filter(
    (slice) => slice.service === port.name && slice.namespace === port.namespace && slice.family === port.family,
  )
  for (const slice of own.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const slicePort of slice.ports) {
      if (slicePort.name !== port.portName || slicePort.protocol !== port.protocol) continue
      for (const each of slice.endpoints) {
        const endpoint = endpointAt(each, slicePort.port, nodeName)
        const text = endpointText(endpoint)
        const known = found.get(text)
        if (known === undefined || rank(endpoint) > rank(known)) found.set(text, endpoint)
      }
    }
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint)
}

function endpointAt({ node, ...kept }: SliceEndpoint, port: number, nodeName: string): Endpoint {
  return { ...kept, port, local: node === nodeName }
}

/**
 * While a pod moves from one slice to another it stands in both: what can serve counts, and what ends never takes the
 * place of what lives.
 */
function rank({ terminating, ready }: Endpoint): number {
  if (terminating) return 0
  return ready ? 2 : 1
}
