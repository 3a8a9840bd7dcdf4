import { pino } from 'pino'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type TestApiServer, startTestApiServer } from '../../../test/support/lab-api-server.ts'
import type { LoadBalancerRoutes } from './load-balancer-routes.ts'
import { runControllers } from './run-controllers.ts'

interface Pod {
  metadata: {
    name: string
    uid: string
    deletionTimestamp?: string
    labels: Record<string, string>
    ownerReferences: { kind: string; name: string; controller: boolean }[]
  }
  spec: { nodeName?: string; containers: { image: string }[] }
  status: { conditions?: { type: string; status: string; message?: string }[] }
}

const podsPath = '/api/v1/namespaces/default/pods'
const deploymentsPath = '/apis/apps/v1/namespaces/default/deployments'
const servicesPath = '/api/v1/namespaces/default/services'
const slicesPath = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'
const mergePatch = 'application/merge-patch+json'

let server: TestApiServer
let stop: AbortController
let controllers: Promise<void>
let announced: LoadBalancerRoutes = new Map()
beforeAll(async () => {
  server = await startTestApiServer()
  stop = new AbortController()
  const announce = (routes: LoadBalancerRoutes) => Promise.resolve(void (announced = routes))
  controllers = runControllers({
    api: server.as('controllers'),
    clusterCidr: '172.30.0.0/16',
    runNamespaceController: false,
    loadBalancerPool: ['192.168.0.200'],
    announce,
    log: pino({ level: 'silent' }),
    signal: stop.signal,
  })
  for (const name of ['n1', 'n2']) await joinNode(name)
})
afterAll(async () => {
  stop.abort()
  await controllers
  await server[Symbol.asyncDispose]()
})

async function joinNode(name: string): Promise<void> {
  await server.api.request('POST', '/api/v1/nodes', {
    body: {
      metadata: { name, labels: { 'kubernetes.io/hostname': name } },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    },
  })
}

async function podsOf(app: string): Promise<Pod[]> {
  return (await server.api.request<{ items: Pod[] }>('GET', podsPath, { query: { labelSelector: `app=${app}` } })).items
}

async function nodesOf(app: string): Promise<string> {
  return (await podsOf(app))
    .map(({ spec }) => spec.nodeName ?? '-')
    .toSorted((a, b) => a.localeCompare(b))
    .join(' ')
}

/** Returns an address for a pod; each pod gets its own. */
const addresses = new Map<string, string>()
function addressOf(name: string): string {
  const known = addresses.get(name) ?? `172.30.9.${addresses.size + 1}`
  addresses.set(name, known)
  return known
}

/** Acts as the kubelets: reports every pod as running, and deletes those that are marked for deletion. */
async function actAsKubelets(): Promise<void> {
  const { items } = await server.api.request<{ items: Pod[] }>('GET', podsPath)
  for (const { metadata, spec } of items) {
    if (metadata.deletionTimestamp !== undefined)
      await server.api
        .request('DELETE', `${podsPath}/${metadata.name}`, { query: { gracePeriodSeconds: 0 } })
        .catch(() => undefined)
    else if (spec.nodeName !== undefined)
      await server.api
        .request('PATCH', `${podsPath}/${metadata.name}/status`, {
          body: {
            status: {
              phase: 'Running',
              podIPs: [{ ip: addressOf(metadata.name) }],
              conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-02T03:04:05Z' }],
            },
          },
          contentType: mergePatch,
        })
        .catch(() => undefined)
  }
}

const eventually = async (check: () => Promise<void>): Promise<void> => {
  await vi.waitFor(
    async () => {
      await actAsKubelets()
      await check()
    },
    { timeout: 20_000, interval: 20 },
  )
}

function deployment(name: string, replicas: number, image = 'one'): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image }] } },
    },
  }
}

test('assigns each node its own block, even a new node with an old name', async () => {
  const blockOf = async (node: string) =>
    (await server.api.request<{ spec: { podCIDR?: string; podCIDRs?: string[] } }>('GET', `/api/v1/nodes/${node}`)).spec
  await eventually(async () => {
    expect(await blockOf('n1')).toEqual({ podCIDR: '172.30.0.0/24', podCIDRs: ['172.30.0.0/24'] })
    expect(await blockOf('n2')).toMatchObject({ podCIDR: '172.30.1.0/24' })
  })
  await joinNode('n3')
  await eventually(async () => expect(await blockOf('n3')).toMatchObject({ podCIDR: '172.30.2.0/24' }))
  await server.api.request('DELETE', '/api/v1/nodes/n3')
  await joinNode('n3')
  await eventually(async () => expect(await blockOf('n3')).toMatchObject({ podCIDR: '172.30.3.0/24' }))
  await server.api.request('DELETE', '/api/v1/nodes/n3')
})

test('creates the pods of a Deployment, spread over the nodes, and reports its status', async () => {
  await server.api.request('POST', deploymentsPath, { body: deployment('web', 4) })
  await eventually(async () => {
    const pods = await podsOf('web')
    expect(await nodesOf('web')).toBe('n1 n1 n2 n2')
    expect(pods[0]?.metadata).toMatchObject({
      labels: { 'pod-template-hash': expect.any(String) },
      ownerReferences: [{ kind: 'Deployment', name: 'web', controller: true }],
    })
    expect(await server.api.request('GET', `${deploymentsPath}/web`)).toMatchObject({
      status: { observedGeneration: 1, replicas: 4, readyReplicas: 4, updatedReplicas: 4 },
    })
  })
})

test('follows changes of scale and template, and the deletion of a Deployment', async () => {
  await server.api.request('POST', deploymentsPath, { body: deployment('shop', 3) })
  await eventually(async () => expect(await podsOf('shop')).toHaveLength(3))
  await server.api.request('PATCH', `${deploymentsPath}/shop/scale`, {
    body: { spec: { replicas: 1 } },
    contentType: mergePatch,
  })
  await eventually(async () => expect(await podsOf('shop')).toHaveLength(1))
  await server.api.request('PATCH', `${deploymentsPath}/shop`, {
    body: { spec: { replicas: 2, template: { spec: { containers: [{ name: 'c', image: 'two' }] } } } },
    contentType: mergePatch,
  })
  await eventually(async () =>
    expect((await podsOf('shop')).map(({ spec }) => spec.containers[0]?.image)).toEqual(['two', 'two']),
  )
  await server.api.request('DELETE', `${deploymentsPath}/shop`)
  await eventually(async () => expect(await podsOf('shop')).toEqual([]))
})

test('explains why a pod fits no node, and binds it as soon as one fits', async () => {
  await server.api.request('POST', podsPath, {
    body: {
      metadata: { name: 'picky', labels: { app: 'picky' } },
      spec: { nodeSelector: { disk: 'ssd' }, containers: [{ name: 'c', image: 'x' }] },
    },
  })
  await eventually(async () =>
    expect((await podsOf('picky'))[0]?.status.conditions).toMatchObject([
      {
        type: 'PodScheduled',
        status: 'False',
        message: expect.stringContaining("didn't match Pod's node affinity/selector"),
      },
    ]),
  )
  await server.api.request('PATCH', '/api/v1/nodes/n2', {
    body: { metadata: { labels: { disk: 'ssd' } } },
    contentType: mergePatch,
  })
  await eventually(async () => expect((await podsOf('picky'))[0]?.spec.nodeName).toBe('n2'))
})

test('reconciles other Deployments when one fails', async () => {
  const blocked = deployment('blocked', 1) as { spec: { template: { metadata: object } } }
  blocked.spec.template.metadata = { labels: { app: 'blocked', bad: 'not a label!' } }
  await server.api.request('POST', deploymentsPath, { body: blocked })
  await server.api.request('POST', deploymentsPath, { body: deployment('later', 1) })
  await eventually(async () => expect(await podsOf('later')).toHaveLength(1))
  expect(await podsOf('blocked')).toEqual([])
})

test('deletes the pods of a deleted node, and replaces them elsewhere', async () => {
  await joinNode('leaving')
  await server.api.request('POST', deploymentsPath, { body: deployment('moved', 3) })
  await eventually(async () => expect(await nodesOf('moved')).toBe('leaving n1 n2'))
  await server.api.request('DELETE', '/api/v1/nodes/leaving')
  await eventually(async () => expect(await nodesOf('moved')).toMatch(/^(n1 n1 n2|n1 n2 n2)$/))
})

interface Slice {
  metadata: { name: string; annotations?: Record<string, string>; labels: Record<string, string> }
  endpoints: {
    addresses: string[]
    conditions: { ready: boolean; terminating: boolean }
    targetRef: { name: string }
  }[]
  ports: { port: number }[]
}

async function slicesOf(service: string): Promise<Slice[]> {
  return (
    await server.api.request<{ items: Slice[] }>('GET', slicesPath, {
      query: { labelSelector: `kubernetes.io/service-name=${service}` },
    })
  ).items
}

test('keeps the endpoints of a Service until it is deleted', async () => {
  await server.api.request('POST', deploymentsPath, { body: deployment('api', 2) })
  await server.api.request('POST', servicesPath, {
    body: { metadata: { name: 'api' }, spec: { selector: { app: 'api' }, ports: [{ port: 80, targetPort: 8080 }] } },
  })
  await eventually(async () => {
    const [slice, ...others] = await slicesOf('api')
    expect([slice?.endpoints.map(({ conditions }) => conditions.ready), slice?.ports, others]).toMatchObject([
      [true, true],
      [{ port: 8080 }],
      [],
    ])
    expect(slice?.endpoints.map(({ addresses }) => addresses[0]).toSorted()).toEqual(
      (await podsOf('api')).map(({ metadata }) => addressOf(metadata.name)).toSorted(),
    )
    expect(slice?.metadata.annotations).toEqual({
      'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-02T03:04:05.000Z',
    })
  })
  const [gone] = await podsOf('api')
  await server.api.request('DELETE', `${podsPath}/${gone?.metadata.name}`)
  await eventually(async () =>
    expect(
      (await slicesOf('api'))
        .flatMap(({ endpoints }) => endpoints.map(({ targetRef }) => targetRef.name))
        .includes(gone?.metadata.name ?? ''),
    ).toBe(false),
  )
  await server.api.request('DELETE', `${servicesPath}/api`)
  await eventually(async () => expect(await slicesOf('api')).toEqual([]))
})

test('leaves slices of other managers alone', async () => {
  const slice = {
    metadata: { name: 'database-1', labels: { 'kubernetes.io/service-name': 'database' } },
    addressType: 'IPv4',
    ports: [{ port: 5432 }],
    endpoints: [{ addresses: ['192.168.0.100'] }],
  }
  await server.api.request('POST', slicesPath, { body: slice })
  await server.api.request('POST', servicesPath, {
    body: { metadata: { name: 'database' }, spec: { ports: [{ port: 5432 }] } },
  })
  await server.api.request('POST', servicesPath, {
    body: { metadata: { name: 'later' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } },
  })
  await eventually(async () => expect(await slicesOf('later')).toHaveLength(1))
  expect(await slicesOf('database')).toMatchObject([slice])
  await server.api.request('DELETE', `${servicesPath}/later`)
})

test('assigns a load balancer address once, announces it, and reuses it when it is released', async () => {
  const balanced = (name: string) => ({ metadata: { name }, spec: { type: 'LoadBalancer', ports: [{ port: 80 }] } })
  const given = async (name: string) =>
    (await server.api.request<{ status: { loadBalancer: { ingress?: object[] } } }>('GET', `${servicesPath}/${name}`))
      .status.loadBalancer.ingress ?? []
  await server.api.request('PATCH', '/api/v1/nodes/n1/status', {
    body: { status: { addresses: [{ type: 'InternalIP', address: '192.168.0.21' }] } },
    contentType: mergePatch,
  })
  await server.api.request('POST', servicesPath, { body: balanced('first') })
  await eventually(async () => expect(await given('first')).toEqual([{ ip: '192.168.0.200', ipMode: 'VIP' }]))
  await eventually(() => Promise.resolve(expect(announced).toEqual(new Map([['192.168.0.200', ['192.168.0.21']]]))))
  await server.api.request('POST', servicesPath, { body: balanced('second') })
  await server.api.request('PATCH', `${servicesPath}/first`, {
    body: { spec: { type: 'ClusterIP' } },
    contentType: mergePatch,
  })
  await eventually(async () => expect(await given('second')).toMatchObject([{ ip: '192.168.0.200' }]))
  expect(await given('first')).toEqual([])
})
