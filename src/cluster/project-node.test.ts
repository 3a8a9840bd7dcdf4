import { expect, test } from 'vitest'
import { projectNode, sameNode } from './project-node.ts'

const node = {
  metadata: {
    name: 'worker-1',
    uid: 'u-1',
    creationTimestamp: '2026-11-21T10:00:00Z',
    resourceVersion: '7',
    managedFields: [{}],
  },
  spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'FD00:1::/64'] },
  status: {
    addresses: [
      { type: 'Hostname', address: 'worker-1' },
      { type: 'InternalIP', address: '192.168.0.21' },
      { type: 'ExternalIP', address: '1.2.3.4' },
      { type: 'InternalIP', address: 'fd00::21' },
    ],
    conditions: [{ lastHeartbeatTime: '2026-11-21T10:00:01Z' }],
  },
}

function projected(raw: unknown) {
  const problems: string[] = []
  const [key, value] = projectNode(raw, (problem) => problems.push(problem))
  return { key, value, problems }
}

test('keeps blocks and internal addresses of a Node', () => {
  const { key, value, problems } = projected(node)
  expect(key).toBe('worker-1')
  expect(value).toEqual({
    name: 'worker-1',
    uid: 'u-1',
    createdAt: Date.UTC(2026, 10, 21, 10),
    podCidrs: [
      { family: 4, network: '10.244.1.0', prefix: 24 },
      { family: 6, network: 'fd00:1::', prefix: 64 },
    ],
    internalAddresses: ['192.168.0.21', 'fd00::21'],
    zone: undefined,
    leaving: false,
    networkUnavailable: false,
    kubeletPort: 10_250,
  })
  expect(problems).toEqual([])
  expect(Object.isFrozen(value) && Object.isFrozen(value.podCidrs)).toBe(true)
})

test('compares podCIDRs, but not heartbeats', () => {
  const beat = {
    ...node,
    metadata: { ...node.metadata, resourceVersion: '8' },
    status: { ...node.status, conditions: [{ lastHeartbeatTime: 'later' }] },
  }
  expect(sameNode(projected(node).value, projected(beat).value)).toBe(true)
  const moved = { ...node, spec: { podCIDRs: ['10.244.9.0/24', 'fd00:1::/64'] } }
  expect(sameNode(projected(node).value, projected(moved).value)).toBe(false)
})

test('projects a new Node without podCIDRs, and an old one with podCIDR alone', () => {
  expect(projected({ metadata: { name: 'new' } }).value).toEqual({
    name: 'new',
    uid: '',
    createdAt: 0,
    podCidrs: [],
    internalAddresses: [],
    zone: undefined,
    leaving: false,
    networkUnavailable: false,
    kubeletPort: 10_250,
  })
  expect(projected({ metadata: { name: 'old' }, spec: { podCIDR: '10.1.0.0/24' } }).value.podCidrs).toHaveLength(1)
})

test('reads the zone, and recognizes a Node that is about to be removed', () => {
  const zoned = { ...node, metadata: { ...node.metadata, labels: { 'topology.kubernetes.io/zone': 'east' } } }
  expect(projected(zoned).value).toMatchObject({
    zone: 'east',
    leaving: false,
    networkUnavailable: false,
    kubeletPort: 10_250,
  })
  expect(
    projected({ ...node, metadata: { ...node.metadata, deletionTimestamp: '2026-11-21T10:00:00Z' } }).value.leaving,
  ).toBe(true)
  expect(projected({ ...node, spec: { taints: [{ key: 'ToBeDeletedByClusterAutoscaler' }] } }).value.leaving).toBe(true)
  expect(
    projected({ ...node, spec: { unschedulable: true, taints: [{ key: 'node.kubernetes.io/unschedulable' }] } }).value
      .leaving,
  ).toBe(false)
})

test('leaves out invalid entries one by one and reports them', () => {
  const { value, problems } = projected({
    metadata: { name: 'odd' },
    spec: { podCIDRs: ['10.244.1.7/24', '10.244.2.0/24'] },
    status: {
      addresses: [
        { type: 'InternalIP', address: 'worker-1.local' },
        { type: 'InternalIP', address: '10.0.0.1' },
      ],
    },
  })
  expect(value.podCidrs).toEqual([{ family: 4, network: '10.244.2.0', prefix: 24 }])
  expect(value.internalAddresses).toEqual(['10.0.0.1'])
  expect(problems).toEqual([
    'Node odd: spec.podCIDRs `10.244.1.7/24` is left out: ' +
      'Expected a CIDR without host bits, got `10.244.1.7/24` (did you mean 10.244.1.0/24?)',
    'Node odd: status.addresses `worker-1.local` is left out: Expected an IP address, got `worker-1.local`',
  ])
})

test.each([[null], [{}], [{ metadata: { name: '' } }]])('rejects %j', (raw) => {
  expect(() => projected(raw)).toThrow('Expected an object with a metadata.name')
})
