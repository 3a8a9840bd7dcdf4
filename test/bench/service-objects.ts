// A cluster for the agent under test, written to its API server as a user and the controllers would: Services on
// scattered ClusterIPs, a slice each, and Nodes.
import type { ApiConnection } from '../../src/cluster/api-connection.ts'
import { addressFromBigInt, addressToBigInt, parseAddress } from '../../src/net/address.ts'
import { each } from './api-server.ts'

const namespace = 'bench'
const endpointsEach = 3

/** Writes them all, Services with three endpoints each. @param size.nodes with the one that is there already */
export async function createCluster(
  api: ApiConnection,
  { services, nodes }: { services: number; nodes: number },
): Promise<void> {
  await api.request('POST', '/api/v1/namespaces', {
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  })
  await each(nodes - 1, async (n) => api.request('POST', '/api/v1/nodes', { body: nodeObject(n) }))
  await each(services, async (n) => {
    await api.request('POST', `/api/v1/namespaces/${namespace}/services`, { body: serviceObject(n) })
    await api.request('POST', `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`, {
      body: sliceObject(n, endpointAddresses(n)),
    })
  })
}

/** Replaces the endpoints of Service n. */
export async function changeEndpoints(api: ApiConnection, n: number, addresses: readonly string[]): Promise<void> {
  await api.request('PUT', `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices/svc-${n}-slice`, {
    body: sliceObject(n, addresses),
  })
}

/** 40503 is odd, so no two of 65,536 Services share an address; they lie as scattered as allocated ones. */
export function clusterIp(n: number): string {
  return offset('10.254.0.0', (n * 40_503) % 65_536)
}

/** Of Service n, as it was created. */
function endpointAddresses(n: number): string[] {
  return Array.from({ length: endpointsEach }, (_, i) => offset('10.244.0.0', (n * endpointsEach + i) % 60_000))
}

function serviceObject(n: number) {
  const labels = { app: `svc-${n}`, 'app.kubernetes.io/managed-by': 'Helm' }
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `svc-${n}`, namespace, labels },
    spec: {
      clusterIP: clusterIp(n),
      selector: { app: `svc-${n}` },
      ports: [{ protocol: 'TCP', port: 80, targetPort: 8080 }],
    },
  }
}

function sliceObject(n: number, addresses: readonly string[]) {
  const labels = {
    'kubernetes.io/service-name': `svc-${n}`,
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    app: `svc-${n}`,
  }
  const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': new Date().toISOString() }
  const endpoints = addresses.map((address, i) => ({
    addresses: [address],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: `node-${(n + i) % 1000}`,
    targetRef: { kind: 'Pod', name: `svc-${n}-${i}`, namespace },
  }))
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `svc-${n}-slice`, namespace, labels, annotations },
    addressType: 'IPv4',
    endpoints,
    ports: [{ name: '', protocol: 'TCP', port: 8080 }],
  }
}

function nodeObject(n: number) {
  const podCIDR = `10.${128 + (n >> 8)}.${n & 255}.0/24`
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `node-${n}` },
    spec: { podCIDR, podCIDRs: [podCIDR] },
    status: { addresses: [{ type: 'InternalIP', address: offset('172.16.0.0', n) }] },
  }
}

function offset(base: string, by: number): string {
  return addressFromBigInt(addressToBigInt(parseAddress(base)) + BigInt(by), 4)
}
