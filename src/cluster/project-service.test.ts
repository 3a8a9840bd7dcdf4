import fc from 'fast-check'
import { expect, test } from 'vitest'
import { projectService, sameService } from './project-service.ts'

const service = {
  metadata: {
    name: 'web',
    namespace: 'shop',
    uid: 'u-1',
    creationTimestamp: '2026-01-02T03:04:05Z',
    labels: { app: 'web' },
  },
  spec: {
    type: 'LoadBalancer',
    clusterIP: '10.254.0.10',
    clusterIPs: ['10.254.0.10', 'FD00:254::10'],
    ipFamilies: ['IPv4', 'IPv6'],
    ports: [
      { name: 'http', port: 80, targetPort: 'web', nodePort: 30_080 },
      { name: 'dns', protocol: 'UDP', port: 53 },
    ],
    externalIPs: [' 192.168.000.150 ', ''],
    loadBalancerSourceRanges: ['203.0.113.77/24'],
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 32_000,
    sessionAffinity: 'ClientIP',
  },
  status: {
    loadBalancer: {
      ingress: [{ ip: '192.168.0.200' }, { ip: '192.168.0.201', ipMode: 'Proxy' }, { hostname: 'lb.example' }],
    },
  },
}

function projected(raw: unknown) {
  const problems: string[] = []
  const [key, value] = projectService(raw, (problem) => problems.push(problem)) ?? []
  return { key, value, problems }
}

function withSpec(spec: Record<string, unknown>) {
  return projected({ ...service, spec: { ...service.spec, ...spec } })
}

test('keeps the fields of a Service that the proxy needs', () => {
  expect(projected(service)).toEqual({
    key: 'shop/web',
    value: {
      namespace: 'shop',
      name: 'web',
      uid: 'u-1',
      createdAt: Date.UTC(2026, 0, 2, 3, 4, 5),
      type: 'LoadBalancer',
      clusterIps: ['10.254.0.10', 'fd00:254::10'],
      ports: [
        { name: 'http', protocol: 'tcp', port: 80, nodePort: 30_080 },
        { name: 'dns', protocol: 'udp', port: 53, nodePort: 0 },
      ],
      externalIps: ['192.168.0.150'],
      loadBalancerIps: ['192.168.0.200'],
      sourceRanges: [{ family: 4, network: '203.0.113.0', prefix: 24 }],
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32_000,
      affinitySeconds: 10_800,
    },
    problems: [],
  })
})

test.each([
  ['headless', { clusterIP: 'None', clusterIPs: ['None'] }],
  ['not allocated yet', { clusterIP: '', clusterIPs: undefined }],
  ['an external name, even with a cluster IP', { type: 'ExternalName' }],
])('drops a Service that is %s', (_, spec) => {
  expect(withSpec(spec)).toEqual({ key: undefined, value: undefined, problems: [] })
})

test('drops a Service of another proxy', () => {
  const labels = { 'service.kubernetes.io/service-proxy-name': '' }
  expect(projected({ ...service, metadata: { ...service.metadata, labels } }).value).toBeUndefined()
})

test.each([
  [
    { externalIPs: ['192.168.0.1/24', '192.168.0.150'] },
    { externalIps: ['192.168.0.150'] },
    'spec.externalIPs `192.168.0.1/24` is left out: Expected an IP address, got `192.168.0.1/24`',
  ],
  [
    { clusterIPs: ['10.254.0.10', '10.254.0.11'] },
    { clusterIps: ['10.254.0.10'] },
    'spec.clusterIPs `10.254.0.11` is left out: Expected an IPv6 address, as spec.ipFamilies says',
  ],
  [
    { clusterIPs: ['10.254.0.10', '10.254.0.11'], ipFamilies: [] },
    { clusterIps: ['10.254.0.10'] },
    'spec.clusterIPs `10.254.0.11` is left out: Expected at most one IPv4 address',
  ],
  [
    {
      ports: [
        { name: 'a', port: 0 },
        { name: 'b', port: 80 },
      ],
    },
    { ports: [{ name: 'b', protocol: 'tcp', port: 80, nodePort: 0 }] },
    'spec.ports `{"name":"a","port":0}` is left out: Expected a port from 1 to 65535, got `0`',
  ],
  [
    { ports: [{ port: '80 -j ACCEPT' }] },
    { ports: [] },
    'spec.ports `{"port":"80 -j ACCEPT"}` is left out: Expected a port from 1 to 65535, got `80 -j ACCEPT`',
  ],
  [
    { ports: [{ port: 80, nodePort: 65_536 }] },
    { ports: [] },
    'spec.ports `{"port":80,"nodePort":65536}` is left out: Expected a port from 1 to 65535, got `65536`',
  ],
  [
    { ports: [{ port: 80, protocol: 'tcp' }] },
    { ports: [] },
    'spec.ports `{"port":80,"protocol":"tcp"}` is left out: Expected the protocol TCP, UDP or SCTP, got `tcp`',
  ],
  [
    { ports: [{ name: 'a"b', port: 80 }] },
    { ports: [] },
    'spec.ports `{"name":"a\\"b","port":80}` is left out: ' +
      'Expected a name of 1 to 63 lower-case letters, digits or dashes, got `a"b`',
  ],
  [
    { ports: [{ port: 80 }, { port: 81 }] },
    { ports: [{ name: '', protocol: 'tcp', port: 80, nodePort: 0 }] },
    'spec.ports `{"port":81}` is left out: Expected names to be unique, got `` twice',
  ],
  [
    { loadBalancerSourceRanges: ['10.0.0.0'] },
    { sourceRanges: [] },
    'spec.loadBalancerSourceRanges `10.0.0.0` is left out: Expected ADDRESS/PREFIX, got `10.0.0.0`',
  ],
  [
    { healthCheckNodePort: -1 },
    { healthCheckNodePort: 0 },
    'spec.healthCheckNodePort `-1` is left out: Expected a port from 1 to 65535, got `-1`',
  ],
  [
    { sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } },
    { affinitySeconds: 10_800 },
    'spec.sessionAffinityConfig `0` is left out: Expected timeoutSeconds from 1 to 86400; using 10800',
  ],
])('leaves out the invalid part of %o, reports it, and keeps the rest', (spec, kept, problem) => {
  const { value, problems } = withSpec(spec)
  expect(value).toMatchObject({ name: 'web', clusterIps: expect.arrayContaining(['10.254.0.10']), ...kept })
  expect(problems).toEqual([`Service shop/web: ${problem}`])
})

test('rejects a Service with an invalid name', () => {
  expect(() => projected({ ...service, metadata: { ...service.metadata, name: 'web" -j ACCEPT' } })).toThrow(
    'Expected a name of 1 to 63 lower-case letters, digits or dashes, got `web" -j ACCEPT`',
  )
  expect(() => projected({ ...service, metadata: { ...service.metadata, namespace: undefined } })).toThrow(
    'got `nothing`',
  )
})

test('keeps only names, numbers and addresses, whatever text a Service contains', () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom('80', 'a -j ACCEPT', '"\n-A INPUT', '10.0.0.1 -j', '::', '__proto__'),
  )
  const value = fc.oneof(text, fc.integer(), fc.constant(null), fc.boolean())
  const port = fc.record({ name: value, port: value, nodePort: value, protocol: value }, { requiredKeys: [] })
  fc.assert(
    fc.property(fc.array(port), fc.array(text), fc.array(text), (ports, externalIPs, loadBalancerSourceRanges) => {
      const { value: kept } = withSpec({ ports, externalIPs, loadBalancerSourceRanges })
      for (const { name, port, nodePort } of kept?.ports ?? []) {
        expect(name).toMatch(/^[a-z0-9-]*$/)
        expect([port, nodePort].every(Number.isInteger)).toBe(true)
      }
      for (const address of [...(kept?.externalIps ?? []), ...(kept?.sourceRanges ?? []).map(({ network }) => network)])
        expect(address).toMatch(/^[0-9a-f.:]+$/)
    }),
  )
})

test('compares traffic policies, but not labels', () => {
  const { value } = projected(service)
  expect(sameService(value!, projected({ ...service, metadata: { ...service.metadata, labels: {} } }).value!)).toBe(
    true,
  )
  expect(sameService(value!, withSpec({ externalTrafficPolicy: 'Cluster' }).value!)).toBe(false)
})
