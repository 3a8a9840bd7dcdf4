import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KubeObject } from '../kube-object.ts'
import { findResource, pods, services } from '../resources.ts'
import { startTestApiServer } from '../../../../test/support/lab-api-server.ts'
import { columnsOf } from './columns.ts'
import { humanDuration } from './duration.ts'
import { TableWriter } from './table-writer.ts'

const now = Date.parse('2026-01-01T00:01:00Z')
const metadata = { name: 'x', creationTimestamp: '2026-01-01T00:00:00Z' }

/** Returns the cells of an object's row by column name. */
function row(resource = pods, object: Partial<KubeObject> = {}): Record<string, string | number> {
  const whole: KubeObject = { apiVersion: 'v1', kind: resource.kind, metadata, ...object }
  return Object.fromEntries(columnsOf(resource).map(({ name, cell }) => [name, cell(whole, now)]))
}

const running = { name: 'c', ready: true, restartCount: 0, state: { running: {} } }
const spec = { nodeName: 'node1', containers: [{ name: 'c' }, { name: 'd' }] }

test('formats ages like kubectl', () => {
  const [s, m, h, d] = [1000, 60_000, 3_600_000, 86_400_000] as const
  const cases: [number, string][] = [
    [-5 * s, '<invalid>'],
    [-s, '0s'],
    [0, '0s'],
    [119 * s, '119s'],
    [2 * m, '2m'],
    [3 * m + 5 * s, '3m5s'],
    [10 * m + 5 * s, '10m'],
    [3 * h, '3h'],
    [7 * h + 5 * m, '7h5m'],
    [8 * h + 5 * m, '8h'],
    [2 * d + 4 * h, '2d4h'],
    [8 * d + 4 * h, '8d'],
    [730 * d, '2y'],
    [731 * d, '2y1d'],
    [2920 * d, '8y'],
  ]
  expect(cases.map(([ms]) => humanDuration(ms))).toEqual(cases.map(([, text]) => text))
})

test('formats any age in one to seven characters', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 50 * 365 * 86_400_000 }),
      (ms) => /^(\d+[smhdy]){1,2}$/.test(humanDuration(ms)) && humanDuration(ms).length <= 7,
    ),
  )
})

test.each([
  [
    'running',
    { phase: 'Running', podIP: '172.30.0.2', containerStatuses: [running, running] },
    {
      Ready: '2/2',
      Status: 'Running',
      Restarts: '0',
      Age: '60s',
      IP: '172.30.0.2',
      Node: 'node1',
      'Nominated Node': '<none>',
      'Readiness Gates': '<none>',
    },
  ],
  [
    'crashing',
    {
      phase: 'Running',
      containerStatuses: [
        running,
        {
          ready: false,
          restartCount: 3,
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { finishedAt: '2026-01-01T00:00:50Z' } },
        },
      ],
    },
    { Ready: '1/2', Status: 'CrashLoopBackOff', Restarts: '3 (10s ago)' },
  ],
  [
    'completed',
    {
      phase: 'Succeeded',
      containerStatuses: [
        { ready: false, restartCount: 0, state: { terminated: { reason: 'Completed', exitCode: 0 } } },
      ],
    },
    { Ready: '0/2', Status: 'Completed' },
  ],
  [
    'partly completed',
    {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'False' }],
      containerStatuses: [{ state: { terminated: { reason: 'Completed' } } }, running],
    },
    { Status: 'NotReady' },
  ],
  [
    'killed',
    { phase: 'Failed', containerStatuses: [{ state: { terminated: { exitCode: 137, signal: 9 } } }] },
    { Status: 'Signal:9' },
  ],
  ['waiting for a node', { phase: 'Pending' }, { Ready: '0/2', Status: 'Pending', IP: '<none>' }],
])('shows a pod that is %s', (_what, status, cells) => {
  expect(row(pods, { spec, status })).toMatchObject(cells)
})

test('shows a pod that is being deleted as Terminating', () => {
  expect(
    row(pods, {
      metadata: { ...metadata, deletionTimestamp: 'x' },
      spec,
      status: { phase: 'Running', containerStatuses: [running] },
    })['Status'],
  ).toBe('Terminating')
})

test.each([
  [
    {
      type: 'ClusterIP',
      clusterIP: '10.254.0.9',
      ports: [
        { port: 80, protocol: 'TCP' },
        { port: 53, protocol: 'UDP' },
      ],
      selector: { b: '2', a: '1' },
    },
    {},
    { 'Cluster-IP': '10.254.0.9', 'External-IP': '<none>', 'Port(s)': '80/TCP,53/UDP', Selector: 'a=1,b=2' },
  ],
  [
    { type: 'NodePort', clusterIP: '10.254.0.9', ports: [{ port: 80, nodePort: 30_080, protocol: 'TCP' }] },
    {},
    { 'Port(s)': '80:30080/TCP', Selector: '<none>' },
  ],
  [{ type: 'LoadBalancer', ports: [] }, {}, { 'External-IP': '<pending>', 'Port(s)': '<none>' }],
  [
    { type: 'LoadBalancer', externalIPs: ['9.9.9.9'] },
    { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } },
    { 'External-IP': '1.2.3.4,9.9.9.9' },
  ],
  [{ type: 'ExternalName', externalName: 'db.example' }, {}, { 'Cluster-IP': '<none>', 'External-IP': 'db.example' }],
])('shows a Service with %j', (spec, status, cells) => {
  expect(row(services, { spec, status })).toMatchObject(cells)
})

test('shows three endpoints of a slice and counts the rest, and shows why a node takes no pods', () => {
  const slices = findResource('discovery.k8s.io', 'v1', 'endpointslices')
  const endpoints = ['1', '2', '3', '4', '5'].map((last) => ({ addresses: [`10.0.0.${last}`] }))
  expect(row(slices, { addressType: 'IPv4', endpoints, ports: [{ port: 80 }] })).toMatchObject({
    Ports: '80',
    Endpoints: '10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...',
  })
  expect(row(slices, { addressType: 'IPv4', endpoints: [] })).toMatchObject({ Ports: '<unset>', Endpoints: '<unset>' })
  const nodes = findResource('', 'v1', 'nodes')
  const status = {
    conditions: [{ type: 'Ready', status: 'True' }],
    addresses: [{ type: 'InternalIP', address: '192.168.0.21' }],
  }
  expect(row(nodes, { spec: { unschedulable: true }, status })).toMatchObject({
    Status: 'Ready,SchedulingDisabled',
    Roles: '<none>',
    'Internal-IP': '192.168.0.21',
    'External-IP': '<none>',
  })
})

test('describes the columns in the first table only, and adds the requested object to each row', () => {
  const object: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata, spec }
  const write = (include: 'None' | 'Metadata' | 'Object') => {
    const writer = new TableWriter(pods, 'v1', include)
    return [1, 2].map(
      () =>
        JSON.parse(writer.table({}, [object])) as {
          columnDefinitions: { name: string; priority: number }[] | null
          rows: { object?: { kind: string; spec?: object } }[]
        },
    )
  }
  const [first, second] = write('Metadata')
  expect(first?.columnDefinitions?.filter(({ priority }) => priority === 0).map(({ name }) => name)).toEqual([
    'Name',
    'Ready',
    'Status',
    'Restarts',
    'Age',
  ])
  expect(second?.columnDefinitions).toBeNull()
  expect(first?.rows[0]?.object).toMatchObject({ kind: 'PartialObjectMetadata', metadata })
  expect(write('Object')[0]?.rows[0]?.object).toEqual(object)
  expect(write('None')[0]?.rows[0]).not.toHaveProperty('object')
})

test('has a cell of the right type for every column of an almost empty object', async () => {
  await using server = await startTestApiServer()
  const { resources } = await server.api.request<{ resources: { name: string }[] }>('GET', '/api/v1')
  for (const { name } of resources.filter(({ name }) => !name.includes('/'))) {
    const cells = Object.values(row(findResource('', 'v1', name)))
    expect(cells.filter((cell) => typeof cell !== 'string' && !Number.isFinite(cell))).toEqual([])
  }
})
