import { pino } from 'pino'
import { beforeEach, expect, test } from 'vitest'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { ApiError } from '../../cluster/api-error.ts'
import { NamespaceEnds } from './namespace-ends.ts'

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
let asked: string[]
let finalized: unknown
/** Pods are only marked, as while their kubelet stops them; everything else goes at once. */
const api = {
  request: async (method: string, path: string, settings?: { body?: unknown }): Promise<unknown> => {
    if (method === 'GET' && path in kinds) return kinds[path]
    if (method === 'GET' && path === '/api/v1/namespaces/old')
      return { metadata: { name: 'old', resourceVersion: '7' }, spec: { finalizers: ['kubernetes', 'other'] } }
    if (method === 'PUT' && path === '/api/v1/namespaces/old/finalize') return void (finalized = settings?.body)
    if (method === 'GET') return { items: contents.get(path) ?? [] }
    asked.push(`${method} ${path}`)
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

const namespaceEnds = new NamespaceEnds({ api, log: pino({ level: 'silent' }) })
const pass = async (deleted: boolean): Promise<void> =>
  await namespaceEnds.pass(new Map([['old', { name: 'old', deleted }]]))

beforeEach(() => {
  asked = []
  finalized = undefined
  contents = new Map([
    ['/api/v1/namespaces/old/pods', [{ metadata: { name: 'web', uid: '1' } }]],
    ['/apis/apps/v1/namespaces/old/deployments', [{ metadata: { name: 'web', uid: '2' } }]],
    ['/api/v1/namespaces/kept/pods', [{ metadata: { name: 'other', uid: '3' } }]],
  ])
})

test('a namespace that stays is not touched', async () => {
  await pass(false)
  expect([asked, finalized]).toEqual([[], undefined])
})

test('all that is in it is deleted once; it goes when the last has gone, and keeps what other finalizers it has', async () => {
  await pass(true)
  await pass(true)
  expect(asked).toEqual([
    'DELETE /api/v1/namespaces/old/pods/web',
    'DELETE /apis/apps/v1/namespaces/old/deployments/web',
  ])
  expect(finalized).toBeUndefined()
  contents.set('/api/v1/namespaces/old/pods', [])
  await pass(true)
  expect(finalized).toEqual({ metadata: { name: 'old', resourceVersion: '7' }, spec: { finalizers: ['other'] } })
  expect(contents.get('/api/v1/namespaces/kept/pods')).toHaveLength(1)
})
