import { stat } from 'node:fs/promises'
import { get } from 'node:https'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { kubeconfigPath, writeKubeconfig } from './kubeconfig.ts'
import { type TestApiServer, startTestApiServer } from '../../../test/support/lab-api-server.ts'

interface Kube {
  metadata: {
    name: string
    uid: string
    resourceVersion: string
    generation: number
    deletionTimestamp?: string
    deletionGracePeriodSeconds?: number
    labels?: Record<string, string>
    creationTimestamp: string
    finalizers?: string[]
  }
  spec: Record<string, unknown>
  status: Record<string, unknown>
}

const pods = '/api/v1/namespaces/default/pods'
const podNamed = (name: string, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
})
const mergePatch = { contentType: 'application/merge-patch+json' }

let server: TestApiServer
beforeAll(async () => {
  server = await startTestApiServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

test('creates, reads, replaces and deletes an object', async () => {
  const { api } = server
  const path = '/api/v1/namespaces/default/configmaps'
  const made = await api.request<Kube & { data: unknown }>('POST', path, {
    body: { metadata: { name: 'settings' }, data: { a: '1' } },
  })
  expect(made).toMatchObject({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'settings', namespace: 'default', generation: 1 },
  })
  expect(made.metadata.uid).toMatch(/^[0-9a-f-]{36}$/)
  expect(made.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  expect(await api.request('GET', `${path}/settings`)).toEqual(made)

  const replaced = await api.request<Kube>('PUT', `${path}/settings`, { body: { ...made, data: { a: '2' } } })
  expect(replaced).toMatchObject({ data: { a: '2' }, metadata: { uid: made.metadata.uid, generation: 2 } })
  expect(Number(replaced.metadata.resourceVersion)).toBeGreaterThan(Number(made.metadata.resourceVersion))

  expect(await api.request('DELETE', `${path}/settings`)).toMatchObject({
    kind: 'Status',
    status: 'Success',
    details: { uid: made.metadata.uid },
  })
  await expect(api.request('GET', `${path}/settings`)).rejects.toMatchObject({
    status: 404,
    reason: 'NotFound',
    message: 'configmaps "settings" not found',
  })
})

test('rejects the second of two writes based on the same version', async () => {
  const { api } = server
  const made = await api.request<Kube>('POST', pods, { body: podNamed('contested') })
  const label = (value: string) => ({ ...made, metadata: { ...made.metadata, labels: { by: value } } })
  await api.request('PUT', `${pods}/contested`, { body: label('first') })
  await expect(api.request('PUT', `${pods}/contested`, { body: label('second') })).rejects.toMatchObject({
    status: 409,
    reason: 'Conflict',
  })
  await expect(
    api.request('PATCH', `${pods}/contested`, { ...mergePatch, body: { metadata: { uid: 'another' } } }),
  ).rejects.toMatchObject({ status: 409 })
  expect((await api.request<Kube>('GET', `${pods}/contested`)).metadata.labels).toEqual({ by: 'first' })
  await expect(api.request('POST', pods, { body: podNamed('contested') })).rejects.toMatchObject({
    status: 409,
    reason: 'AlreadyExists',
  })
})

test('keeps the version when a write changes nothing', async () => {
  const made = await server.api.request<Kube>('POST', pods, { body: podNamed('same') })
  expect(await server.api.request('PATCH', `${pods}/same`, { ...mergePatch, body: { spec: made.spec } })).toEqual(made)
})

test('generates distinct names from generateName', async () => {
  const body = { ...podNamed(''), metadata: { generateName: 'job-' } }
  const a = await server.api.request<Kube>('POST', pods, { body })
  const b = await server.api.request<Kube>('POST', pods, { body })
  expect(a.metadata.name).toMatch(/^job-[a-z0-9]{5}$/)
  expect(b.metadata.name).not.toBe(a.metadata.name)
})

test('waits for the kubelet to delete a bound pod, and deletes an unbound one at once', async () => {
  const { api } = server
  await api.request('POST', pods, { body: podNamed('loose') })
  await api.request('DELETE', `${pods}/loose`)
  await expect(api.request('GET', `${pods}/loose`)).rejects.toMatchObject({ status: 404 })

  await api.request('POST', pods, { body: podNamed('bound', { nodeName: 'node1', terminationGracePeriodSeconds: 7 }) })
  const marked = await api.request<Kube>('DELETE', `${pods}/bound`)
  expect(marked.metadata).toMatchObject({ deletionGracePeriodSeconds: 7, deletionTimestamp: expect.any(String) })
  // A longer grace period has no effect, and no other write undoes the deletion.
  expect(
    (await api.request<Kube>('DELETE', `${pods}/bound`, { query: { gracePeriodSeconds: 60 } })).metadata
      .resourceVersion,
  ).toBe(marked.metadata.resourceVersion)
  expect(
    (
      await api.request<Kube>('PATCH', `${pods}/bound`, {
        ...mergePatch,
        body: { metadata: { deletionTimestamp: null } },
      })
    ).metadata.deletionTimestamp,
  ).toBe(marked.metadata.deletionTimestamp)
  const wrongPod = { preconditions: { uid: 'another' }, gracePeriodSeconds: 0 }
  await expect(api.request('DELETE', `${pods}/bound`, { body: wrongPod })).rejects.toMatchObject({ status: 409 })
  await api.request('DELETE', `${pods}/bound`, {
    body: { gracePeriodSeconds: 0, preconditions: { uid: marked.metadata.uid } },
  })
  await expect(api.request('GET', `${pods}/bound`)).rejects.toMatchObject({ status: 404 })
})

test('deletes an object when its last finalizer is removed', async () => {
  const { api } = server
  const path = '/api/v1/namespaces/default/configmaps'
  await api.request('POST', path, { body: { metadata: { name: 'held', finalizers: ['lab/wait'] } } })
  await api.request('DELETE', `${path}/held`)
  expect((await api.request<Kube>('GET', `${path}/held`)).metadata.deletionTimestamp).toBeDefined()
  await api.request('PATCH', `${path}/held`, { ...mergePatch, body: { metadata: { finalizers: null } } })
  await expect(api.request('GET', `${path}/held`)).rejects.toMatchObject({ status: 404 })
})

test('deletes a namespace when its last pod is gone, and rejects new objects meanwhile', async () => {
  const { api } = server
  await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'shop' } } })
  expect((await api.request<Kube>('GET', '/api/v1/namespaces/shop')).metadata.labels).toEqual({
    'kubernetes.io/metadata.name': 'shop',
  })
  await api.request('POST', '/api/v1/namespaces/shop/configmaps', { body: { metadata: { name: 'c' } } })
  await api.request('POST', '/api/v1/namespaces/shop/pods', { body: podNamed('p', { nodeName: 'node1' }) })
  expect(await api.request('DELETE', '/api/v1/namespaces/shop')).toMatchObject({ status: { phase: 'Terminating' } })
  await expect(api.request('GET', '/api/v1/namespaces/shop/configmaps/c')).rejects.toMatchObject({ status: 404 })
  await expect(api.request('POST', '/api/v1/namespaces/shop/pods', { body: podNamed('q') })).rejects.toMatchObject({
    status: 403,
  })
  await api.request('DELETE', '/api/v1/namespaces/shop/pods/p', { query: { gracePeriodSeconds: 0 } })
  await expect(api.request('GET', '/api/v1/namespaces/shop')).rejects.toMatchObject({ status: 404 })
  await expect(api.request('DELETE', '/api/v1/namespaces/default')).rejects.toMatchObject({ status: 403 })
  await expect(api.request('POST', '/api/v1/namespaces/nowhere/pods', { body: podNamed('q') })).rejects.toMatchObject({
    status: 404,
  })
})

test('writes the status only through /status, and nothing else through it', async () => {
  const { api } = server
  await api.request('POST', pods, { body: { ...podNamed('reporting'), status: { phase: 'Running' } } })
  const both = {
    ...mergePatch,
    body: { spec: { nodeName: 'node1' }, status: { phase: 'Running', podIP: '172.30.0.5' } },
  }
  expect(await api.request<Kube>('PATCH', `${pods}/reporting`, both)).toMatchObject({
    spec: { nodeName: 'node1' },
    status: { phase: 'Pending' },
  })
  const moved = { ...mergePatch, body: { spec: { nodeName: 'node2' }, status: { phase: 'Running' } } }
  expect(await api.request<Kube>('PATCH', `${pods}/reporting/status`, moved)).toMatchObject({
    spec: { nodeName: 'node1' },
    status: { phase: 'Running' },
  })
})

test('binds a pod only once', async () => {
  const { api } = server
  const bind = async (node: string) =>
    await api.request('POST', `${pods}/wanted/binding`, {
      body: { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'wanted' }, target: { kind: 'Node', name: node } },
    })
  await api.request('POST', pods, { body: podNamed('wanted') })
  await bind('node1')
  await expect(bind('node2')).rejects.toMatchObject({ status: 409, reason: 'Conflict' })
  expect(await api.request('GET', `${pods}/wanted`)).toMatchObject({
    spec: { nodeName: 'node1' },
    status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
  })
})

test('changes the replicas of a Deployment through /scale', async () => {
  const { api } = server
  const path = '/apis/apps/v1/namespaces/default/deployments'
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  await api.request('POST', path, {
    body: { metadata: { name: 'web' }, spec: { selector: { matchLabels: { app: 'web' } }, template } },
  })
  expect(
    await api.request('PATCH', `${path}/web/scale`, { ...mergePatch, body: { spec: { replicas: 4 } } }),
  ).toMatchObject({ kind: 'Scale', spec: { replicas: 4 }, status: { selector: 'app=web' } })
  expect(await api.request('GET', `${path}/web`)).toMatchObject({ spec: { replicas: 4 }, metadata: { generation: 2 } })
})

test('allocates unique addresses and ports to a Service and keeps them', async () => {
  const { api } = server
  const path = '/api/v1/namespaces/default/services'
  const make = async (name: string, spec: object) =>
    await api.request<Kube>('POST', path, { body: { metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } } })
  const plain = await make('plain', {})
  expect(plain.spec).toMatchObject({
    type: 'ClusterIP',
    ipFamilies: ['IPv4'],
    clusterIPs: [plain.spec['clusterIP']],
    ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }],
  })
  expect(plain.spec['clusterIP']).toMatch(/^10\.254\./)
  await expect(make('thief', { clusterIP: plain.spec['clusterIP'] })).rejects.toMatchObject({
    status: 422,
    message: expect.stringContaining('already allocated'),
  })
  expect((await make('headless', { clusterIP: 'None' })).spec['clusterIPs']).toEqual(['None'])

  const open = await make('open', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' })
  const [port] = open.spec['ports'] as { nodePort: number }[]
  expect(port?.nodePort).toBeGreaterThanOrEqual(30_000)
  expect(open.spec['healthCheckNodePort']).not.toBe(port?.nodePort)
  // `kubectl replace` sends neither addresses nor node ports.
  const bare = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'open' },
    spec: {
      type: 'NodePort',
      ports: [{ port: 80 }, { name: 'b', port: 81 }].map((one, i) => ({ name: `p${i}`, ...one })),
    },
  }
  const replaced = await api.request<Kube>('PUT', `${path}/open`, { body: bare })
  expect(replaced.spec['clusterIP']).toBe(open.spec['clusterIP'])
  expect(replaced.spec['ports']).toMatchObject([
    { port: 80, nodePort: port?.nodePort },
    { port: 81, nodePort: expect.any(Number) },
  ])
})

test.each([
  ['an invalid name', pods, podNamed('Bad_Name'), 'metadata.name: Invalid value: "Bad_Name"'],
  ['no container', pods, { metadata: { name: 'x' }, spec: {} }, 'spec.containers: Required value'],
  [
    'an invalid port',
    '/api/v1/namespaces/default/services',
    { metadata: { name: 'x' }, spec: { ports: [{ port: 70_000 }] } },
    'spec.ports[0].port: Invalid value: 70000',
  ],
  [
    'an invalid CIDR',
    '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies',
    { metadata: { name: 'x' }, spec: { ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.1/33' } }] }] } },
    'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.1/33"',
  ],
  ['no name at all', pods, { metadata: {}, spec: {} }, 'metadata.name: Required value'],
])('rejects %s and names the field', async (_what, path, body, sentence) => {
  await expect(server.api.request('POST', path, { body })).rejects.toMatchObject({
    status: 422,
    reason: 'Invalid',
    message: expect.stringContaining(sentence),
  })
})

test.each([
  ['POST', '/api/v1/namespaces/default/gadgets', {}, 404],
  ['POST', pods, { apiVersion: 'v1', kind: 'Service', metadata: { name: 'x' } }, 400],
  ['POST', pods, { ...podNamed('x'), metadata: { name: 'x', namespace: 'kube-system' } }, 400],
  ['POST', pods, [], 400],
  ['POST', '/api/v1/pods', podNamed('x'), 405],
  ['DELETE', '/api/v1/namespaces/default/nodes/node1', undefined, 404],
])('rejects %s %s %j with %i', async (method, path, body, status) => {
  await expect(server.api.request(method, path, { body })).rejects.toMatchObject({ status })
})

test('rejects requests without a token of this lab', async () => {
  const agent = server.as('agent-node1')
  await expect(agent.request('GET', '/api/v1/nodes')).resolves.toMatchObject({ kind: 'NodeList' })
  const statusFor = async (path: string, authorization: string) =>
    await new Promise((resolve, reject) =>
      get(`${server.url}${path}`, { headers: { authorization }, rejectUnauthorized: false }, (response) =>
        resolve(response.resume().statusCode),
      ).on('error', reject),
    )
  expect(await statusFor('/api/v1/nodes', '')).toBe(401)
  expect(await statusFor('/api/v1/nodes', `Bearer admin.${'0'.repeat(64)}`)).toBe(401)
  expect(await statusFor('/readyz', '')).toBe(200)
})

test('accepts a new kubeconfig of a node that joins later, and keeps it readable for its owner only', async () => {
  const path = await writeKubeconfig({ dir: server.dir, url: server.url, user: 'kubelet-node9' })
  expect(path).toBe(kubeconfigPath(server.dir, 'kubelet-node9'))
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  await expect(
    server.as('kubelet-node9').request('POST', '/api/v1/nodes', {
      body: { metadata: { name: 'node9' }, status: { addresses: [{ type: 'InternalIP', address: '192.168.0.29' }] } },
    }),
  ).resolves.toMatchObject({ status: { addresses: [{ address: '192.168.0.29' }] } })
})

test('lists every resource in discovery', async () => {
  const { api } = server
  const { resources } = await api.request<{ resources: { name: string }[] }>('GET', '/api/v1')
  expect(resources.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['pods', 'pods/status', 'pods/binding', 'nodes', 'services']),
  )
  const { groups } = await api.request<{ groups: { preferredVersion: { groupVersion: string } }[] }>('GET', '/apis')
  expect(groups.map(({ preferredVersion }) => preferredVersion.groupVersion)).toContain('discovery.k8s.io/v1')
  await expect(api.request('GET', '/apis/discovery.k8s.io/v1')).resolves.toMatchObject({
    resources: [{ name: 'endpointslices', kind: 'EndpointSlice', namespaced: true }],
  })
  await expect(api.request('GET', '/apis/nothing.io/v1')).rejects.toMatchObject({ status: 404 })
})

test('deletes a collection by label', async () => {
  const { api } = server
  const path = '/api/v1/namespaces/kube-system/configmaps'
  for (const [name, app] of [
    ['a', 'x'],
    ['b', 'x'],
    ['c', 'y'],
  ])
    await api.request('POST', path, { body: { metadata: { name, labels: { app } } } })
  await api.request('DELETE', path, { query: { labelSelector: 'app=x' } })
  expect(await api.request('GET', path)).toMatchObject({ items: [{ metadata: { name: 'c' } }] })
})
