import { pino } from 'pino'
import { beforeEach, expect, test } from 'vitest'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { ApiError } from '../../cluster/api-error.ts'
import { NamespaceController } from './namespace-controller.ts'

const verbs = ['delete', 'get', 'list']
const kinds: Readonly<Record<string, unknown>> = {
  '/apis': { groups: [{ preferredVersion: { groupVersion: 'apps/v1' } }] },
  '/api/v1': {
    resources: [
      { name: 'pods', namespaced: true, verbs },
      { name: 'pods/status', namespaced: true, verbs },
      { name: 'nodes', namespaced: false, verbs },
      { name: 'bindings', namespaced: true, verbs: ['create'] },
    ],
  },
  '/apis/apps/v1': { resources: [{ name: 'deployments', namespaced: true, verbs }] },
}

let contents: Map<string, { metadata: { name: string; uid: string; deletionTimestamp?: string } }[]>
let requests: string[]
let finalized: unknown
/** An API server that only marks pods for deletion, as while their kubelet stops them, and deletes the rest at once. */
const api = {
  request: async (method: string, path: string, settings?: { body?: unknown }): Promise<unknown> => {
    if (method === 'GET' && path in kinds) return kinds[path]
    if (method === 'GET' && path === '/api/v1/namespaces/old')
      return { metadata: { name: 'old', resourceVersion: '7' }, spec: { finalizers: ['kubernetes', 'other'] } }
    if (method === 'PUT' && path === '/api/v1/namespaces/old/finalize') return void (finalized = settings?.body)
    if (method === 'GET') return { items: contents.get(path) ?? [] }
    requests.push(`${method} ${path}`)
    const collection = path.slice(0, path.lastIndexOf('/'))
    const items = contents.get(collection) ?? []
    const item = items.find(({ metadata }) => path.endsWith(`/${metadata.name}`))
    if (item === undefined) throw new ApiError({ status: 404, reason: 'NotFound', message: path })
    if (collection.endsWith('/pods')) item.metadata.deletionTimestamp = 'now'
    else
      contents.set(
        collection,
        items.filter((other) => other !== item),
      )
    return {}
  },
} as Pick<ApiConnection, 'request'>

const namespaceController = new NamespaceController({ api, log: pino({ level: 'silent' }) })
const reconcile = async (deleted: boolean): Promise<void> =>
  await namespaceController.reconcile(new Map([['old', { name: 'old', deleted }]]))

beforeEach(() => {
  requests = []
  finalized = undefined
  contents = new Map([
    ['/api/v1/namespaces/old/pods', [{ metadata: { name: 'web', uid: '1' } }]],
    ['/apis/apps/v1/namespaces/old/deployments', [{ metadata: { name: 'web', uid: '2' } }]],
    ['/api/v1/namespaces/kept/pods', [{ metadata: { name: 'other', uid: '3' } }]],
  ])
})

test('leaves a namespace alone that is not marked for deletion', async () => {
  await reconcile(false)
  expect([requests, finalized]).toEqual([[], undefined])
})

test('deletes each object once, then finalizes the namespace and keeps its other finalizers', async () => {
  await reconcile(true)
  await reconcile(true)
  expect(requests).toEqual([
    'DELETE /api/v1/namespaces/old/pods/web',
    'DELETE /apis/apps/v1/namespaces/old/deployments/web',
  ])
  expect(finalized).toBeUndefined()
  contents.set('/api/v1/namespaces/old/pods', [])
  await reconcile(true)
  expect(finalized).toEqual({ metadata: { name: 'old', resourceVersion: '7' }, spec: { finalizers: ['other'] } })
  expect(contents.get('/api/v1/namespaces/kept/pods')).toHaveLength(1)
})
