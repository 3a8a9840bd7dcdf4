// Dry runs, and objects with unknown fields.
import { expect, test } from 'vitest'
import { startTestApiServer } from '../../../test/support/lab-api-server.ts'

const pods = '/api/v1/namespaces/default/pods'
const pod = {
  metadata: { name: 'tried' },
  spec: { containers: [{ name: 'c', image: 'x', imgae: 'y' }], colour: 'red' },
}

test('responds to a dry run as to the write, and stores nothing', async () => {
  await using server = await startTestApiServer()
  const { api } = server
  const query = { dryRun: 'All' }
  const before = await api.request<{ metadata: { resourceVersion: string } }>('GET', pods)
  expect(await api.request('POST', pods, { body: pod, query })).toMatchObject({
    metadata: { name: 'tried', uid: expect.any(String) },
    spec: { restartPolicy: 'Always' },
  })
  await expect(api.request('GET', `${pods}/tried`)).rejects.toMatchObject({ status: 404 })
  await expect(api.request('POST', pods, { body: { ...pod, spec: {} }, query })).rejects.toMatchObject({ status: 422 })
  expect((await api.request<typeof before>('GET', pods)).metadata.resourceVersion).toBe(before.metadata.resourceVersion)

  const made = await api.request('POST', pods, { body: pod })
  const labels = { contentType: 'application/merge-patch+json', body: { metadata: { labels: { a: 'b' } } } }
  expect(await api.request('PATCH', `${pods}/tried`, { ...labels, query })).toMatchObject({
    metadata: { labels: { a: 'b' } },
  })
  await api.request('DELETE', `${pods}/tried`, { query })
  await api.request('DELETE', `${pods}/tried`, { body: { dryRun: ['All'] } })
  await api.request('DELETE', pods, { query })
  expect(await api.request('GET', `${pods}/tried`)).toEqual(made)
  await expect(api.request('DELETE', `${pods}/tried`, { query: { dryRun: 'Some' } })).rejects.toMatchObject({
    status: 400,
  })
})

test('never stores unknown fields, and names all of them with strict validation', async () => {
  await using server = await startTestApiServer()
  const { api } = server
  const strict = { query: { fieldValidation: 'Strict' } }
  const both = 'strict decoding error: unknown field "spec.containers[0].imgae", unknown field "spec.colour"'
  await expect(api.request('POST', pods, { ...strict, body: pod })).rejects.toMatchObject({
    status: 400,
    message: `Pod in version "v1" cannot be handled as a Pod: ${both}`,
  })
  const made = await api.request<{ spec: { containers: object[] } }>('POST', pods, { body: pod })
  expect(made.spec).not.toHaveProperty('colour')
  expect(made.spec.containers[0]).not.toHaveProperty('imgae')
  await expect(
    api.request('PATCH', `${pods}/tried`, {
      ...strict,
      contentType: 'application/merge-patch+json',
      body: { spec: { colour: 'blue' } },
    }),
  ).rejects.toMatchObject({ status: 400 })
})

test('drops null fields in creations and updates, and applies defaults to them', async () => {
  await using server = await startTestApiServer()
  const { api } = server
  const services = '/api/v1/namespaces/default/services'
  const spec = { type: null, externalIPs: null, ports: [{ name: null, port: 80, protocol: null }] }
  const body = { metadata: { name: 'web', namespace: null, labels: null }, spec, status: null }
  const made = await api.request<{ spec: object }>('POST', services, { body })
  expect(JSON.stringify(made)).not.toContain('null')
  expect(made.spec).toMatchObject({ type: 'ClusterIP', ports: [{ protocol: 'TCP' }] })
  const put = { ...made, spec: { ...made.spec, externalIPs: null } }
  expect(JSON.stringify(await api.request('PUT', `${services}/web`, { body: put }))).not.toContain('null')
})

test.each([
  [
    '/api/v1/namespaces/default/configmaps',
    { metadata: { name: 'c' }, data: { any: 'thing' }, binaryData: { x: 'AA==' } },
  ],
  [
    '/api/v1/namespaces/default/services',
    {
      metadata: { name: 's', annotations: { any: 'thing' } },
      spec: { selector: { any: 'thing' }, ports: [{ port: 80, targetPort: 'http', appProtocol: 'http' }] },
    },
  ],
  [
    '/apis/apps/v1/namespaces/default/deployments',
    {
      metadata: { name: 'd' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: {
          metadata: { labels: { a: 'b' } },
          spec: {
            containers: [
              {
                name: 'c',
                image: 'x',
                resources: { limits: { cpu: 1, memory: '1Gi' } },
                env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
                livenessProbe: { httpGet: { port: 'http', path: '/' } },
              },
            ],
          },
        },
      },
    },
  ],
  [
    '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies',
    {
      metadata: { name: 'n' },
      spec: {
        podSelector: {},
        ingress: [
          { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }], ports: [{ port: 80, endPort: 90 }] },
        ],
      },
    },
  ],
  [
    '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
    {
      metadata: { name: 'e' },
      addressType: 'IPv4',
      ports: [{ port: 80, appProtocol: 'http' }],
      endpoints: [
        {
          addresses: ['10.0.0.1'],
          conditions: { ready: true, serving: true },
          hints: { forZones: [{ name: 'a' }], forNodes: [{ name: 'n' }] },
        },
      ],
    },
  ],
  [
    '/api/v1/namespaces/default/events',
    {
      metadata: { name: 'e' },
      involvedObject: { kind: 'Pod', name: 'x' },
      reason: 'Seen',
      source: { component: 'c' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingComponent: 'c',
    },
  ],
])('knows every field of a valid object at %s', async (path, body) => {
  await using server = await startTestApiServer()
  await expect(server.api.request('POST', path, { query: { fieldValidation: 'Strict' }, body })).resolves.toMatchObject(
    body,
  )
})

test('serves OpenAPI documents in which every reference resolves', async () => {
  await using server = await startTestApiServer()
  const { paths } = await server.api.request<{ paths: Record<string, { serverRelativeURL: string }> }>(
    'GET',
    '/openapi/v3',
  )
  expect(Object.keys(paths)).toEqual(expect.arrayContaining(['api/v1', 'apis/apps/v1', 'apis/networking.k8s.io/v1']))
  for (const { serverRelativeURL } of Object.values(paths)) {
    const document = await server.api.request<{ paths: object; components: { schemas: Record<string, object> } }>(
      'GET',
      serverRelativeURL,
    )
    expect(Object.keys(document.paths)).not.toEqual([])
    const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)
    for (const [, name = ''] of references) expect(document.components.schemas).toHaveProperty([name])
  }
})
