import { pino } from 'pino'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type ScratchApiServer, startScratchApiServer } from '../apiserver/scratch-api-server.ts'
import { runControllers } from './run-controllers.ts'

interface Pod {
  metadata: { name: string; uid: string; deletionTimestamp?: string; labels: Record<string, string>; ownerReferences: { kind: string; name: string; controller: boolean }[] }
  spec: { nodeName?: string; containers: { image: string }[] }
  status: { conditions?: { type: string; status: string; message?: string }[] }
}

const podsPath = '/api/v1/namespaces/default/pods'
const deploymentsPath = '/apis/apps/v1/namespaces/default/deployments'
const mergePatch = 'application/merge-patch+json'

let server: ScratchApiServer
let stop: AbortController
let controllers: Promise<void>
beforeAll(async () => {
  server = await startScratchApiServer()
  stop = new AbortController()
  controllers = runControllers({ api: server.as('controllers'), clusterCidr: '172.30.0.0/16', endNamespaces: false, log: pino({ level: 'silent' }), signal: stop.signal })
  for (const name of ['n1', 'n2']) await joinNode(name)
})
afterAll(async () => {
  stop.abort()
  await controllers
  await server[Symbol.asyncDispose]()
})

async function joinNode(name: string): Promise<void> {
  await server.api.request('POST', '/api/v1/nodes', { body: { metadata: { name, labels: { 'kubernetes.io/hostname': name } }, status: { conditions: [{ type: 'Ready', status: 'True' }] } } })
}

async function podsOf(app: string): Promise<Pod[]> {
  return (await server.api.request<{ items: Pod[] }>('GET', podsPath, { query: { labelSelector: `app=${app}` } })).items
}

async function nodesOf(app: string): Promise<string> {
  return (await podsOf(app)).map(({ spec }) => spec.nodeName ?? '-').toSorted((a, b) => a.localeCompare(b)).join(' ')
}

/** What a kubelet does for every pod it finds: running, or gone when it is told to stop. */
async function actAsKubelets(): Promise<void> {
  const { items } = await server.api.request<{ items: Pod[] }>('GET', podsPath)
  for (const { metadata, spec } of items) {
    if (metadata.deletionTimestamp !== undefined) await server.api.request('DELETE', `${podsPath}/${metadata.name}`, { query: { gracePeriodSeconds: 0 } }).catch(() => undefined)
    else if (spec.nodeName !== undefined) await server.api.request('PATCH', `${podsPath}/${metadata.name}/status`, { body: { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }, contentType: mergePatch }).catch(() => undefined)
  }
}

const eventually = async (check: () => Promise<void>): Promise<void> => {
  await vi.waitFor(
    async () => {
      await actAsKubelets()
      await check()
    },
    { timeout: 10_000, interval: 20 },
  )
}

function deployment(name: string, replicas: number, image = 'one'): object {
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec: { replicas, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image }] } } } }
}

test('every node gets a block of its own, also one that comes back under its old name', async () => {
  const blockOf = async (node: string) => (await server.api.request<{ spec: { podCIDR?: string; podCIDRs?: string[] } }>('GET', `/api/v1/nodes/${node}`)).spec
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

test('a Deployment becomes pods, spread over the nodes, and its status says so', async () => {
  await server.api.request('POST', deploymentsPath, { body: deployment('web', 4) })
  await eventually(async () => {
    const pods = await podsOf('web')
    expect(await nodesOf('web')).toBe('n1 n1 n2 n2')
    expect(pods[0]?.metadata).toMatchObject({ labels: { 'pod-template-hash': expect.any(String) }, ownerReferences: [{ kind: 'Deployment', name: 'web', controller: true }] })
    expect(await server.api.request('GET', `${deploymentsPath}/web`)).toMatchObject({ status: { observedGeneration: 1, replicas: 4, readyReplicas: 4, updatedReplicas: 4 } })
  })
})

test('it follows its scale, its template and its end', async () => {
  await server.api.request('POST', deploymentsPath, { body: deployment('shop', 3) })
  await eventually(async () => expect(await podsOf('shop')).toHaveLength(3))
  await server.api.request('PATCH', `${deploymentsPath}/shop/scale`, { body: { spec: { replicas: 1 } }, contentType: mergePatch })
  await eventually(async () => expect(await podsOf('shop')).toHaveLength(1))
  await server.api.request('PATCH', `${deploymentsPath}/shop`, { body: { spec: { replicas: 2, template: { spec: { containers: [{ name: 'c', image: 'two' }] } } } }, contentType: mergePatch })
  await eventually(async () => expect((await podsOf('shop')).map(({ spec }) => spec.containers[0]?.image)).toEqual(['two', 'two']))
  await server.api.request('DELETE', `${deploymentsPath}/shop`)
  await eventually(async () => expect(await podsOf('shop')).toEqual([]))
})

test('a pod that fits nowhere is told why, and goes where it can as soon as it can', async () => {
  await server.api.request('POST', podsPath, { body: { metadata: { name: 'picky', labels: { app: 'picky' } }, spec: { nodeSelector: { disk: 'ssd' }, containers: [{ name: 'c', image: 'x' }] } } })
  await eventually(async () => expect((await podsOf('picky'))[0]?.status.conditions).toMatchObject([{ type: 'PodScheduled', status: 'False', message: expect.stringContaining("didn't match Pod's node affinity/selector") }]))
  await server.api.request('PATCH', '/api/v1/nodes/n2', { body: { metadata: { labels: { disk: 'ssd' } } }, contentType: mergePatch })
  await eventually(async () => expect((await podsOf('picky'))[0]?.spec.nodeName).toBe('n2'))
})

test('a Deployment that cannot have its pods holds up no other', async () => {
  const blocked = deployment('blocked', 1) as { spec: { template: { metadata: object } } }
  blocked.spec.template.metadata = { labels: { app: 'blocked', bad: 'not a label!' } }
  await server.api.request('POST', deploymentsPath, { body: blocked })
  await server.api.request('POST', deploymentsPath, { body: deployment('later', 1) })
  await eventually(async () => expect(await podsOf('later')).toHaveLength(1))
  expect(await podsOf('blocked')).toEqual([])
})

test('pods of a node that has gone go too, and their Deployment has others elsewhere', async () => {
  await joinNode('leaving')
  await server.api.request('POST', deploymentsPath, { body: deployment('moved', 3) })
  await eventually(async () => expect(await nodesOf('moved')).toBe('leaving n1 n2'))
  await server.api.request('DELETE', '/api/v1/nodes/leaving')
  await eventually(async () => expect(await nodesOf('moved')).toMatch(/^(n1 n1 n2|n1 n2 n2)$/))
})
