import { expect, test } from 'vitest'
import { nodeView, podView, serviceView } from '../../../test/support/controller-views.ts'
import { endpointGroups } from './service-endpoints.ts'

const nodes = new Map([
  ['n1', nodeView('n1', { labels: { 'topology.kubernetes.io/zone': 'east' } })],
  ['n2', nodeView('n2')],
])
const web = (name: string, fields: Parameters<typeof podView>[1] = {}) =>
  podView(name, { labels: { app: 'web' }, nodeName: 'n1', addresses: ['172.30.0.2'], ready: true, ...fields })
const only = (service: Parameters<typeof serviceView>[1], pod: ReturnType<typeof podView>) =>
  endpointGroups(serviceView('web', service), [pod], nodes)[0]?.endpoints[0]

test('describes the pod, node and zone of an endpoint', () => {
  expect(only({}, web('a'))).toEqual({
    addresses: ['172.30.0.2'],
    conditions: { ready: true, serving: true, terminating: false },
    targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'a-uid' },
    nodeName: 'n1',
    zone: 'east',
  })
})

test.each([
  ['ready', {}, {}, { ready: true, serving: true, terminating: false }],
  ['not ready', {}, { ready: false }, { ready: false, serving: false, terminating: false }],
  ['terminating and still serving', {}, { deleted: true }, { ready: false, serving: true, terminating: true }],
  ['terminating', {}, { deleted: true, ready: false }, { ready: false, serving: false, terminating: true }],
  [
    'not ready but published',
    { publishNotReady: true },
    { ready: false },
    { ready: true, serving: false, terminating: false },
  ],
  [
    'terminating but published',
    { publishNotReady: true },
    { deleted: true, ready: false },
    { ready: true, serving: false, terminating: true },
  ],
])('sets the conditions of a pod that is %s', (_, service, pod, conditions) => {
  expect(only(service, web('a', pod))?.conditions).toEqual(conditions)
})

test.each([
  ['of other labels', { labels: { app: 'shop' } }],
  ['that has finished', { finished: true }],
  ['without an address', { addresses: [] }],
  ['without a node', { nodeName: '' }],
  ['of the other family only', { addresses: ['fd00::2'] }],
])('skips a pod %s', (_, pod) => {
  expect(endpointGroups(serviceView('web'), [web('a', pod)], nodes)).toEqual([])
})

test('resolves a named port for each pod, and skips a pod without it', () => {
  const service = serviceView('web', {
    ports: [
      { name: 'http', protocol: 'TCP', port: 80, targetPort: 'web' },
      { name: 'plain', protocol: 'UDP', port: 53, targetPort: 5353 },
    ],
  })
  const named = (containerPort: number, protocol = 'TCP') => ({ ports: [{ name: 'web', containerPort, protocol }] })
  const groups = endpointGroups(
    service,
    [web('a', named(8080)), web('b', named(9090)), web('c', named(8080)), web('d', named(8080, 'UDP'))],
    nodes,
  )
  expect(
    groups.map(({ ports, endpoints }) => [
      ports.map(({ name, port }) => `${name} ${port}`).join(),
      endpoints.map(({ targetRef }) => targetRef.name).join(),
    ]),
  ).toEqual([
    ['http 8080,plain 5353', 'a,c'],
    ['http 9090,plain 5353', 'b'],
    ['plain 5353', 'd'],
  ])
})

test('groups endpoints by family', () => {
  const groups = endpointGroups(
    serviceView('web', { families: ['IPv4', 'IPv6'] }),
    [web('a', { addresses: ['172.30.0.2', 'fd00::2'] })],
    nodes,
  )
  expect(groups.map(({ addressType, endpoints }) => [addressType, endpoints[0]?.addresses[0]])).toEqual([
    ['IPv4', '172.30.0.2'],
    ['IPv6', 'fd00::2'],
  ])
})

test.each([
  ['PreferClose', 'n1', { forZones: [{ name: 'east' }] }],
  ['PreferSameZone', 'n1', { forZones: [{ name: 'east' }] }],
  ['PreferSameZone', 'n2', undefined],
  ['PreferSameNode', 'n1', { forZones: [{ name: 'east' }], forNodes: [{ name: 'n1' }] }],
  ['PreferSameNode', 'n2', { forNodes: [{ name: 'n2' }] }],
  ['', 'n1', undefined],
])('converts trafficDistribution `%s` to hints for an endpoint on %s', (trafficDistribution, nodeName, hints) => {
  expect(only({ trafficDistribution }, web('a', { nodeName }))?.hints).toEqual(hints)
})

test('gives hints only to ready endpoints', () => {
  expect(only({ trafficDistribution: 'PreferSameNode' }, web('a', { ready: false }))?.hints).toBeUndefined()
})
