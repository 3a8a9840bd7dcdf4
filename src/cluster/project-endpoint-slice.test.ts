import { expect, test } from 'vitest'
import { projectEndpointSlice, sameEndpointSlice } from './project-endpoint-slice.ts'

const slice = {
  metadata: {
    name: 'web-abc',
    namespace: 'shop',
    labels: { 'kubernetes.io/service-name': 'web' },
    annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-02T03:04:05Z' },
  },
  addressType: 'IPv4',
  ports: [
    { name: 'http', port: 8080 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ],
  endpoints: [
    {
      addresses: ['10.244.1.5', '10.244.1.6'],
      nodeName: 'worker-1',
      hints: { forZones: [{ name: 'zone-a' }], forNodes: [{ name: 'worker-1' }] },
    },
    { addresses: ['10.244.02.7'], conditions: { ready: false, serving: true, terminating: true } },
  ],
}

function projected(raw: unknown) {
  const problems: string[] = []
  const reasons: (string | undefined)[] = []
  const [key, value] =
    projectEndpointSlice(raw, (problem, reason) => (problems.push(problem), reasons.push(reason))) ?? []
  return { key, value, problems, reasons }
}

test('keeps the fields of an EndpointSlice that the proxy needs', () => {
  expect(projected(slice)).toEqual({
    key: 'shop/web-abc',
    value: {
      namespace: 'shop',
      name: 'web-abc',
      service: 'web',
      family: 4,
      ports: [
        { name: 'http', protocol: 'tcp', port: 8080 },
        { name: 'dns', protocol: 'udp', port: 53 },
      ],
      endpoints: [
        {
          address: '10.244.1.5',
          ready: true,
          serving: true,
          terminating: false,
          node: 'worker-1',
          zoneHints: ['zone-a'],
          nodeHints: ['worker-1'],
        },
        {
          address: '10.244.2.7',
          ready: false,
          serving: true,
          terminating: true,
          node: undefined,
          zoneHints: [],
          nodeHints: [],
        },
      ],
      changeTriggeredAt: Date.UTC(2026, 0, 2, 3, 4, 5),
    },
    problems: [],
    reasons: [],
  })
})

test('reads null lists, as Go writes them, as empty', () => {
  expect(projected({ ...slice, ports: null, endpoints: null }).value).toMatchObject({ ports: [], endpoints: [] })
})

test.each([
  ['of host names', { addressType: 'FQDN' }, []],
  ['of an unknown address type', { addressType: '__proto__' }, []],
  [
    'of a headless Service',
    { metadata: { ...slice.metadata, labels: { ...slice.metadata.labels, 'service.kubernetes.io/headless': '' } } },
    [],
  ],
  [
    'without a Service',
    { metadata: { ...slice.metadata, labels: {} } },
    ['EndpointSlice shop/web-abc is left out: it names no Service; give it the label kubernetes.io/service-name'],
  ],
])('drops a slice %s', (_, changed, problems) => {
  expect(projected({ ...slice, ...changed })).toEqual({
    key: undefined,
    value: undefined,
    problems,
    reasons: problems.map(() => 'slice-without-service'),
  })
})

const unreachable = 'Expected an address that other nodes can reach, not a loopback, link-local or unspecified one'

test.each([
  ['127.0.0.1', 'endpoint-out-of-reach', unreachable],
  ['169.254.169.254', 'endpoint-out-of-reach', unreachable],
  ['0.0.0.0', 'endpoint-out-of-reach', unreachable],
  ['fd00::5', 'endpoint-of-other-family', 'Expected an IPv4 address, as addressType says'],
  ['10.244.1.5:80', 'endpoint-address', 'Expected an IP address, got `10.244.1.5:80`'],
])('leaves out an endpoint at %s, reports it, and keeps the others', (address, reason, why) => {
  const { value, problems, reasons } = projected({
    ...slice,
    endpoints: [{ addresses: [address] }, ...slice.endpoints],
  })
  expect(value?.endpoints).toHaveLength(2)
  expect({ problems, reasons }).toEqual({
    problems: [`EndpointSlice shop/web-abc: endpoints \`["${address}"]\` is left out: ${why}`],
    reasons: [reason],
  })
})

test.each(['::1', '::', 'fe80::1', 'ff02::1'])('leaves out an endpoint at %s', (address) => {
  expect(projected({ ...slice, addressType: 'IPv6', endpoints: [{ addresses: [address] }] }).value?.endpoints).toEqual(
    [],
  )
})

test('leaves out and reports port 0 and a port without a number', () => {
  const { value, problems } = projected({
    ...slice,
    ports: [{ name: 'a', port: 0 }, { name: 'b' }, { name: 'c', port: 9 }],
  })
  expect(value?.ports).toEqual([{ name: 'c', protocol: 'tcp', port: 9 }])
  expect(problems).toEqual([
    'EndpointSlice shop/web-abc: ports `{"name":"a","port":0}` is left out: Expected a port from 1 to 65535, got `0`',
    'EndpointSlice shop/web-abc: ports `{"name":"b"}` is left out: Expected a port from 1 to 65535, got `nothing`',
  ])
})

test('compares conditions, but not labels', () => {
  const { value } = projected(slice)
  expect(
    sameEndpointSlice(
      value!,
      projected({ ...slice, metadata: { ...slice.metadata, labels: { ...slice.metadata.labels, app: 'web' } } }).value!,
    ),
  ).toBe(true)
  const unready = slice.endpoints.map((endpoint) => ({ ...endpoint, conditions: { ready: false } }))
  expect(sameEndpointSlice(value!, projected({ ...slice, endpoints: unready }).value!)).toBe(false)
})
