// Services and slices as the reflectors would keep them, any number of them, for tests and benchmarks of the sync.
import type { ClusterEndpointSlice } from '../../src/cluster/endpoint-slice.ts'
import type { ClusterNode } from '../../src/cluster/node.ts'
import type { ClusterService } from '../../src/cluster/service.ts'
import { addressFromBigInt, addressToBigInt, parseAddress } from '../../src/net/address.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { defaultOptions, type ServicesOptions } from '../../src/services/options.ts'

export const node: ClusterNode = {
  name: 'n1',
  uid: 'u',
  createdAt: 0,
  podCidrs: [parseCidr('10.244.1.0/24')],
  internalAddresses: [parseAddress('192.168.0.21')],
  zone: undefined,
  leaving: false,
  alive: undefined,
  networkUnavailable: false,
  kubeletPort: 10_250,
}
export const options: ServicesOptions = {
  ...defaultOptions,
  detectLocal: { by: 'clusterCidr', cidrs: [parseCidr('10.244.0.0/16')] },
}

export class TestCluster {
  readonly services = new Map<string, ClusterService>()
  readonly slices = new Map<string, ClusterEndpointSlice>()

  /** Service `ns/svc-N` on 10.96.(N), port 80, with so many endpoints spread over the pod network. */
  add(n: number, endpoints: number, changes: Partial<ClusterService> = {}): void {
    this.services.set(`ns/svc-${n}`, {
      namespace: 'ns',
      name: `svc-${n}`,
      uid: `uid-${n}`,
      createdAt: n,
      type: 'ClusterIP',
      // 2654435761 is odd, so no two numbers below 2^20 share an address; they lie as scattered as allocated ones.
      clusterIps: [offset('10.96.0.0', Math.imul(n, 2_654_435_761) >>> 12)],
      ports: [{ name: '', protocol: 'tcp', port: 80, nodePort: 0 }],
      externalIps: [],
      loadBalancerIps: [],
      sourceRanges: [],
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: 'Cluster',
      healthCheckNodePort: 0,
      affinitySeconds: undefined,
      ...changes,
    })
    this.endpoints(
      n,
      Array.from({ length: endpoints }, (_, i) => offset('10.244.0.0', (n * endpoints + i) % 60_000)),
    )
  }

  /** Replaces the endpoints of the Service. */
  endpoints(n: number, addresses: readonly string[]): void {
    const service = this.services.get(`ns/svc-${n}`)
    this.slices.set(`ns/svc-${n}-slice`, {
      namespace: 'ns',
      name: `svc-${n}-slice`,
      service: `svc-${n}`,
      family: 4,
      changeTriggeredAt: undefined,
      ports: (service?.ports ?? []).map(({ name, protocol }) => ({ name, protocol, port: 8080 })),
      endpoints: addresses.map((address) => ({
        address: parseAddress(address),
        ready: true,
        serving: true,
        terminating: false,
        node: undefined,
        zoneHints: [],
        nodeHints: [],
      })),
    })
  }

  remove(n: number): void {
    this.services.delete(`ns/svc-${n}`)
    this.slices.delete(`ns/svc-${n}-slice`)
  }

  /** As the reflectors give them: new maps with the same objects. */
  get snapshot(): [ReadonlyMap<string, ClusterService>, ReadonlyMap<string, ClusterEndpointSlice>, ClusterNode] {
    return [new Map(this.services), new Map(this.slices), node]
  }
}

function offset(base: string, by: number) {
  return addressFromBigInt(addressToBigInt(parseAddress(base)) + BigInt(by), 4)
}
