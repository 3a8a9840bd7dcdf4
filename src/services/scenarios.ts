// Clusters to try the rules on, as the API server would tell of them: one for each row of kube-proxy's decision matrix
// and each field that changes rules.
import { projectEndpointSlice } from '../cluster/project-endpoint-slice.ts'
import { projectService } from '../cluster/project-service.ts'
import { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { Report } from '../cluster/problem.ts'
import { type Family, parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import type { ServicesSnapshot } from './render-snapshot.ts'
import { defaultOptions, type NodeFacts, type ServicesOptions } from './options.ts'

export const nodes: Readonly<Record<Family, NodeFacts>> = {
  4: {
    family: 4,
    name: 'worker-1',
    zone: 'zone-a',
    address: parseAddress('192.168.0.21'),
    localAddresses: ['127.0.0.1', '192.168.0.21', '10.244.1.1'].map(parseAddress),
    podCidr: parseCidr('10.244.1.0/24'),
  },
  6: {
    family: 6,
    name: 'worker-1',
    zone: 'zone-a',
    address: parseAddress('fd00::21'),
    localAddresses: ['::1', 'fd00::21', 'fd00:244:1::1'].map(parseAddress),
    podCidr: parseCidr('fd00:244:1::/64'),
  },
}

/** Pods are told from others by their addresses. */
const options: ServicesOptions = {
  ...defaultOptions,
  detectLocal: { by: 'clusterCidr', cidrs: [parseCidr('10.244.0.0/16'), parseCidr('fd00:244::/32')] },
}

type Fields = Readonly<Record<string, unknown>>

/** shop/web with one port, unless `spec` says otherwise. */
export function service(spec: Fields = {}, { name = 'web', createdAt = 1, ...rest }: Fields = {}): Fields {
  return {
    kind: 'Service',
    metadata: {
      namespace: 'shop',
      name,
      uid: `uid-${String(name)}`,
      creationTimestamp: new Date(Number(createdAt) * 1000).toISOString(),
      ...rest,
    },
    spec: { clusterIP: '10.254.0.10', ports: [{ name: 'http', port: 80 }], ...spec },
  }
}

/** The same with every way in from outside: an external IP, a load balancer's address and a node port. */
export function exposed(spec: Fields = {}, ingress: readonly Fields[] = [{ ip: '192.168.0.200' }]): Fields {
  const external = {
    type: 'LoadBalancer',
    externalIPs: ['192.168.0.150'],
    ports: [{ name: 'http', port: 80, nodePort: 30_080 }],
    ...spec,
  }
  return { ...service(external), status: { loadBalancer: { ingress } } }
}

export function slice(
  endpoints: readonly Fields[],
  { name = 'web-1', service: of = 'web', addressType = 'IPv4', ports = [{ name: 'http', port: 8080 }] }: Fields = {},
): Fields {
  return {
    kind: 'EndpointSlice',
    metadata: { namespace: 'shop', name, labels: { 'kubernetes.io/service-name': of } },
    addressType,
    ports,
    endpoints,
  }
}

/** An endpoint of a slice. */
export function at(address: string, nodeName: string, rest: Fields = {}): Fields {
  return { addresses: [address], nodeName, ...rest }
}

export const local = at('10.244.1.5', 'worker-1')
export const remote = at('10.244.2.7', 'worker-2')
const both = slice([local, remote])
const draining = { conditions: { ready: false, serving: true, terminating: true } }
const zones = (...names: string[]) => ({ hints: { forZones: names.map((name) => ({ name })) } })
const onNodes = (...names: string[]) => ({ hints: { forNodes: names.map((name) => ({ name })) } })
const onlyLocal = { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 }
const ranges = (...loadBalancerSourceRanges: string[]) => ({ loadBalancerSourceRanges })
const dual = [
  {
    ...exposed(
      {
        clusterIP: '10.254.0.10',
        clusterIPs: ['10.254.0.10', 'fd00:254::10'],
        ipFamilies: ['IPv4', 'IPv6'],
        externalIPs: ['192.168.0.150', 'fd00::150'],
        ...ranges('203.0.113.0/24', 'fd00::/64'),
      },
      [{ ip: '192.168.0.200' }, { ip: 'fd00::200' }],
    ),
  },
  both,
  slice([at('fd00:244:1::5', 'worker-1'), at('fd00:244:2::7', 'worker-2')], { name: 'web-2', addressType: 'IPv6' }),
]

export interface Scenario {
  readonly objects: readonly Fields[]
  readonly family?: Family
  readonly options?: Partial<ServicesOptions>
  /** Needs kernel objects that are not there. */
  readonly loads?: false
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'nothing-to-proxy': {
    objects: [
      service({ clusterIP: 'None' }),
      service({ type: 'ExternalName' }, { name: 'name' }),
      service({}, { name: 'other', labels: { 'service.kubernetes.io/service-proxy-name': 'other' } }),
      both,
    ],
  },
  'cluster-ip': { objects: [service(), both] },
  'no-endpoints': {
    objects: [exposed(), slice([at('10.244.1.5', 'worker-1', { conditions: { ready: false, serving: false } })])],
  },
  'internal-local': { objects: [service({ internalTrafficPolicy: 'Local' }), both] },
  'internal-local-none-here': { objects: [exposed({ internalTrafficPolicy: 'Local' }), slice([remote])] },
  'external-cluster': { objects: [exposed(), both] },
  'external-local': { objects: [exposed(onlyLocal), both] },
  'external-local-none-here': { objects: [exposed(onlyLocal), slice([remote])] },
  'external-local-no-detector': {
    objects: [exposed(onlyLocal), both],
    options: { detectLocal: defaultOptions.detectLocal },
  },
  'external-local-cluster-ip-type': {
    objects: [service({ externalIPs: ['192.168.0.150'], externalTrafficPolicy: 'Local' }), both],
  },
  'both-local': { objects: [exposed({ ...onlyLocal, internalTrafficPolicy: 'Local' }), both] },
  'masquerade-all': { objects: [exposed(), both], options: { masqueradeAll: true, masqueradeBit: 31 } },
  'no-detector': { objects: [service(), both], options: { detectLocal: defaultOptions.detectLocal } },
  'detect-by-bridge': {
    objects: [exposed(onlyLocal), both],
    options: { detectLocal: { by: 'bridge', name: parseInterfaceName('cni0') } },
  },
  'detect-by-prefix': {
    objects: [service(), both],
    options: { detectLocal: { by: 'prefix', prefix: parseInterfaceName('veth') } },
  },
  'detect-by-node-cidr': { objects: [service(), both], options: { detectLocal: { by: 'nodeCidr' } } },
  'source-ranges': { objects: [exposed(ranges(' 203.0.113.0/24', '192.168.0.0/24', 'fd00::/64')), both] },
  'source-ranges-without-node': { objects: [exposed({ ...onlyLocal, ...ranges('203.0.113.77/25') }), both] },
  'source-ranges-of-other-family': { objects: [exposed(ranges('fd00::/64')), both] },
  'source-ranges-all': { objects: [exposed(ranges('203.0.113.0/24', '0.0.0.0/0')), both] },
  'no-node-ports': {
    objects: [exposed({ ports: [{ name: 'http', port: 80 }], allocateLoadBalancerNodePorts: false }), both],
  },
  'load-balancer-proxy-mode': {
    objects: [exposed({}, [{ ip: '192.168.0.200', ipMode: 'Proxy' }, { hostname: 'lb.example' }]), both],
  },
  'client-ip-affinity': {
    objects: [
      exposed({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } }),
      both,
    ],
  },
  'large-cluster': {
    objects: [
      exposed({ sessionAffinity: 'ClientIP' }),
      slice([
        local,
        remote,
        ...Array.from({ length: 999 }, (_, i) =>
          at(`10.244.${9 + (i >> 8)}.${i & 255}`, 'worker-3', { conditions: { ready: false } }),
        ),
      ]),
    ],
  },
  'terminating-alone': {
    objects: [
      service(),
      slice([
        at('10.244.1.5', 'worker-1', draining),
        at('10.244.2.7', 'worker-2', { conditions: { ready: false, serving: false, terminating: true } }),
      ]),
    ],
  },
  'terminating-here-ready-elsewhere': {
    objects: [exposed(onlyLocal), slice([at('10.244.1.5', 'worker-1', draining), remote])],
  },
  'same-zone': {
    objects: [
      service(),
      slice([at('10.244.1.5', 'worker-1', zones('zone-a')), at('10.244.2.7', 'worker-2', zones('zone-b'))]),
    ],
  },
  'same-node': {
    objects: [
      service(),
      slice([
        at('10.244.1.5', 'worker-1', { hints: { ...zones('zone-b').hints, ...onNodes('worker-1').hints } }),
        at('10.244.2.7', 'worker-2', { hints: { ...zones('zone-a').hints, ...onNodes('worker-2').hints } }),
      ]),
    ],
  },
  'publish-not-ready': {
    objects: [
      service(),
      slice([at('10.244.1.5', 'worker-1', { conditions: { ready: true, serving: false, terminating: true } })]),
    ],
  },
  'ports-and-protocols': {
    objects: [
      service({
        ports: [
          { name: 'http', port: 80 },
          { name: 'admin', port: 8443, nodePort: 30_443 },
        ],
      }),
      slice([local], {
        ports: [
          { name: 'http', port: 8080 },
          { name: 'admin', port: 8443 },
        ],
      }),
      slice([remote], { name: 'web-2', ports: [{ name: 'http', port: 9090 }] }),
      service(
        {
          clusterIP: '10.254.0.2',
          ports: [
            { name: 'dns', port: 53, protocol: 'UDP' },
            { name: 'dns-tcp', port: 53, protocol: 'TCP' },
          ],
        },
        { name: 'dns' },
      ),
      slice([at('10.244.1.9', 'worker-1')], {
        name: 'dns-1',
        service: 'dns',
        ports: [
          { name: 'dns', port: 5353, protocol: 'UDP' },
          { name: 'dns-tcp', port: 5353 },
        ],
      }),
      service(
        { clusterIP: '10.254.0.3', ports: [{ port: 9999, protocol: 'SCTP', nodePort: 30_999 }] },
        { name: 'signals' },
      ),
      slice([at('10.244.1.8', 'worker-1')], {
        name: 'signals-1',
        service: 'signals',
        ports: [{ port: 9999, protocol: 'SCTP' }],
      }),
    ],
  },
  'moving-between-slices': {
    objects: [service(), slice([at('10.244.1.5', 'worker-1', draining), remote]), slice([local], { name: 'web-0' })],
  },
  'external-database': {
    objects: [
      service({ ports: [{ port: 5432 }] }, { name: 'database' }),
      slice([{ addresses: ['192.168.0.250'] }], {
        name: 'database-by-hand',
        service: 'database',
        ports: [{ port: 5432 }],
      }),
    ],
  },
  'node-ports-on-blocks': {
    objects: [exposed(), both],
    options: { nodePortAddresses: [parseCidr('192.168.0.0/24'), parseCidr('127.0.0.0/8')] },
  },
  'unassigned-refused': {
    objects: [exposed(), both],
    options: { refusedBlocks: [parseCidr('10.254.0.0/16'), parseCidr('fd00:254::/112')] },
  },
  'node-ports-on-primary': { objects: [exposed(), both], options: { nodePortAddresses: 'primary' } },
  'node-ports-not-on-localhost': {
    objects: [exposed(), both],
    options: { localhostNodePorts: false, tcpBeLiberal: true },
  },
  'counted-by-nfacct': { objects: [exposed(), both], options: { nfacct: true }, loads: false },
  'claimed-twice': {
    objects: [
      service(
        { externalIPs: ['192.168.0.150'], ports: [{ name: 'http', port: 80, nodePort: 30_080 }] },
        { name: 'young', createdAt: 9 },
      ),
      slice([remote], { name: 'young-1', service: 'young' }),
      service(
        {
          clusterIP: '10.254.0.11',
          externalIPs: ['192.168.0.150'],
          ports: [{ name: 'http', port: 80, nodePort: 30_080 }],
        },
        { name: 'old', createdAt: 3 },
      ),
    ],
  },
  'dual-stack-ipv4': { objects: dual },
  'dual-stack-ipv6': { objects: dual, family: 6 },
  'ipv6-local-affinity': {
    objects: [
      exposed({ clusterIP: 'fd00:254::10', externalIPs: ['fd00::150'], sessionAffinity: 'ClientIP', ...onlyLocal }, [
        { ip: 'fd00::200' },
      ]),
      slice([at('fd00:244:1::5', 'worker-1'), at('fd00:244:2::7', 'worker-2')], { addressType: 'IPv6' }),
    ],
    family: 6,
  },
  'ipv6-no-endpoints': {
    objects: [exposed({ clusterIP: 'fd00:254::10', externalIPs: ['fd00::150'] }, [{ ip: 'fd00::200' }])],
    family: 6,
  },
}

export function snapshotOf({ objects, family = 4, options: changed = {} }: Scenario): ServicesSnapshot {
  const report: Report = (sentence) => {
    throw new Error(sentence)
  }
  const kept = <T>(kind: string, project: (raw: unknown, report: Report) => readonly [string, T] | undefined): T[] =>
    objects.filter((object) => object['kind'] === kind).flatMap((object) => project(object, report)?.[1] ?? [])
  return {
    services: kept('Service', projectService),
    slices: kept('EndpointSlice', projectEndpointSlice),
    options: { ...options, ...changed },
    node: nodes[family],
    needed: ProtectedPorts.none,
  }
}
