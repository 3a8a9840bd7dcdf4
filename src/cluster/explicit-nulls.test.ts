import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { withoutNulls } from './explicit-nulls.ts'
import type { Projection } from './object-store.ts'
import { projectEndpointSlice } from './project-endpoint-slice.ts'
import { projectNamespace } from './project-namespace.ts'
import { projectNetworkPolicy } from './project-network-policy.ts'
import { projectNode } from './project-node.ts'
import { projectPod } from './project-pod.ts'
import { projectServiceCidr } from './project-service-cidr.ts'
import { projectService } from './project-service.ts'

test('removes null fields at every depth, reports and removes null items of lists', () => {
  const items: string[] = []
  const value = { a: null, b: { c: null, d: [1, null, { e: null }, [null]] }, f: '' }
  expect(withoutNulls(value, (path) => items.push(path))).toEqual({ b: { d: [1, {}, []] }, f: '' })
  expect(items).toEqual(['b.d[3][0]', 'b.d[1]'])
  expect(withoutNulls(value)).toEqual({ b: { d: [1, null, {}, [null]] }, f: '' })
})

test('leaves a null value of matchLabels to its reader, and the given object as it is', () => {
  const value = { matchLabels: { app: null }, other: { matchLabels: null } }
  expect(withoutNulls(value)).toEqual({ matchLabels: { app: null }, other: {} })
  expect(value).toEqual({ matchLabels: { app: null }, other: { matchLabels: null } })
})

test('returns the same value where it holds no null', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      fc.pre(!JSON.stringify(value).includes('null'))
      expect(withoutNulls(value)).toBe(value)
    }),
  )
})

const metadata = {
  namespace: 'shop',
  uid: 'u-1',
  creationTimestamp: '2026-01-02T03:04:05Z',
  deletionTimestamp: '2026-01-02T03:04:06Z',
  labels: { app: 'web', 'kubernetes.io/service-name': 'web', 'topology.kubernetes.io/zone': 'a' },
  annotations: { 'kubernetes.io/config.mirror': 'm', 'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-01' },
}
const selector = {
  matchLabels: { app: 'web' },
  matchExpressions: [{ key: 'tier', operator: 'In', values: ['api', 'db'] }],
}
const kinds: Readonly<Record<string, { readonly project: Projection<unknown>; readonly body: object }>> = {
  Node: {
    project: projectNode,
    body: {
      spec: { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24', 'fd00:1::/64'], taints: [{ key: 'a', effect: 'b' }] },
      status: {
        addresses: [
          { type: 'InternalIP', address: '192.0.2.1' },
          { type: 'InternalIP', address: '2001:db8::1' },
        ],
        conditions: [{ type: 'NetworkUnavailable', status: 'True' }],
      },
    },
  },
  Pod: {
    project: projectPod,
    body: {
      spec: {
        nodeName: 'n1',
        hostNetwork: true,
        containers: [{ name: 'a', ports: [{ name: 'http', protocol: 'TCP', containerPort: 80 }] }],
        initContainers: [{ restartPolicy: 'Always', ports: [{ name: 'side', containerPort: 81 }] }],
      },
      status: { phase: 'Running', podIP: '10.1.0.2', podIPs: [{ ip: '10.1.0.2' }, { ip: 'fd00:1::2' }] },
    },
  },
  Namespace: { project: (raw) => projectNamespace(raw), body: {} },
  Service: {
    project: projectService,
    body: {
      spec: {
        type: 'LoadBalancer',
        clusterIP: '10.254.0.10',
        clusterIPs: ['10.254.0.10', 'fd00:254::10'],
        ipFamilies: ['IPv4', 'IPv6'],
        ports: [
          { name: 'http', port: 80, nodePort: 30_080 },
          { name: 'dns', protocol: 'UDP', port: 53 },
        ],
        externalIPs: ['192.0.2.9'],
        loadBalancerSourceRanges: ['203.0.113.0/24'],
        internalTrafficPolicy: 'Local',
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 32_000,
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.10', ipMode: 'VIP' }, { hostname: 'lb.example' }] } },
    },
  },
  EndpointSlice: {
    project: projectEndpointSlice,
    body: {
      addressType: 'IPv4',
      ports: [{ name: 'http', protocol: 'TCP', port: 8080, appProtocol: 'http' }],
      endpoints: [
        {
          addresses: ['10.1.0.2'],
          conditions: { ready: false, serving: false, terminating: true },
          nodeName: 'n1',
          hints: { forZones: [{ name: 'a' }], forNodes: [{ name: 'n1' }] },
        },
      ],
    },
  },
  NetworkPolicy: {
    project: projectNetworkPolicy,
    body: {
      spec: {
        podSelector: selector,
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          {
            from: [{ podSelector: selector }, { namespaceSelector: selector }],
            ports: [{ protocol: 'UDP', port: 53 }],
          },
          { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }] },
        ],
        egress: [{ to: [{ podSelector: {} }], ports: [{ port: 80, endPort: 90 }, { port: 'http' }] }],
      },
    },
  },
  ServiceCIDR: { project: projectServiceCidr, body: { spec: { cidrs: ['10.254.0.0/16'] } } },
}

type Path = readonly (string | number)[]

/** Returns the paths of all fields; a label in a selector is none, because removing it selects more. */
function fieldsOf(value: unknown, path: Path = []): readonly Path[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => fieldsOf(item, [...path, index]))
  if (typeof value !== 'object' || value === null || path.at(-1) === 'matchLabels') return []
  return Object.entries(value).flatMap(([name, inner]) => [[...path, name], ...fieldsOf(inner, [...path, name])])
}

/** Returns a copy in which `change` was made to the parent of each path that is still there. */
function changed(
  value: object,
  paths: readonly Path[],
  change: (parent: Record<string, unknown>, field: string) => void,
) {
  const copy = structuredClone(value)
  for (const path of paths) {
    const parent = path
      .slice(0, -1)
      .reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], copy)
    if (typeof parent === 'object' && parent !== null) change(parent as Record<string, unknown>, String(path.at(-1)))
  }
  return copy
}

describe.each(Object.entries(kinds))('%s', (kind, { project, body }) => {
  const object = { kind, metadata: { name: 'web', ...metadata }, ...body }

  function projected(raw: unknown) {
    const problems: string[] = []
    const report = (sentence: string) => problems.push(sentence)
    try {
      return { result: project(raw, report), problems }
    } catch (error) {
      return { result: (error as Error).message, problems }
    }
  }

  test('projects with null fields as without these fields', () => {
    const fields = fieldsOf(object).filter(
      (path) => path.join('.') !== 'metadata' && path.join('.') !== 'metadata.name',
    )
    fc.assert(
      fc.property(fc.subarray([...fields]), (paths) => {
        const nulled = changed(object, paths, (parent, field) => (parent[field] = null))
        const absent = changed(object, paths, (parent, field) => delete parent[field])
        expect(projected(nulled)).toEqual(projected(absent))
      }),
      { numRuns: 300 },
    )
  })

  test('reports a null item of any list, keeps the other items, and does not open a policy', () => {
    const lists = fieldsOf(object).filter((path) =>
      Array.isArray(path.reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], object)),
    )
    for (const path of lists) {
      const withItem = changed(
        object,
        [path],
        (parent, field) => (parent[field] = [null, ...(parent[field] as unknown[])]),
      )
      const { result, problems } = projected(withItem)
      expect(problems).toHaveLength(1)
      expect(problems[0]).not.toMatch(/undefined|not a function|Cannot read/)
      expect(kind === 'NetworkPolicy' || isDeepStrictEqual(result, projected(object).result)).toBe(true)
    }
  })
})

test('a null in a selector, a peer or a list of a policy admits nothing and is reported', () => {
  const from = [{ podSelector: { matchLabels: { app: null } } }, null, { podSelector: null }]
  const problems: string[] = []
  const raw = {
    metadata: { name: 'p', namespace: 'shop' },
    spec: {
      podSelector: {},
      policyTypes: null,
      egress: null,
      ingress: [null, { from, ports: [null] }, { from: [null] }],
    },
  }
  const [, policy] = projectNetworkPolicy(raw, (sentence) => problems.push(sentence))
  expect(policy).toMatchObject({ ingress: [{ peers: [], ports: [] }, { peers: [] }], egress: undefined })
  expect(problems).toHaveLength(6)
})
