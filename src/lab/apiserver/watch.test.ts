import { expect, test } from 'vitest'
import { type TestApiServer, startTestApiServer } from '../../../test/support/lab-api-server.ts'

const path = '/api/v1/namespaces/default/configmaps'

async function put(server: TestApiServer, name: string, labels: Record<string, string> = {}): Promise<string> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels } }
  const known = await server.api.request<{ items: { metadata: { name: string } }[] }>('GET', path)
  const isNew = known.items.every(({ metadata }) => metadata.name !== name)
  const written = await server.api.request<{ metadata: { resourceVersion: string } }>(
    isNew ? 'POST' : 'PUT',
    isNew ? path : `${path}/${name}`,
    { body },
  )
  return written.metadata.resourceVersion
}

test('begins with all objects when the watch has no version', async () => {
  await using server = await startTestApiServer()
  await put(server, 'old')
  await using watch = server.watch(path)
  expect(await watch.take(1)).toEqual(['ADDED old'])
  await put(server, 'new')
  await put(server, 'old', { changed: 'yes' })
  await server.api.request('DELETE', `${path}/new`)
  expect(await watch.take(3)).toEqual(['ADDED new', 'MODIFIED old', 'DELETED new'])
})

test('resumes from a version without missing a change', async () => {
  await using server = await startTestApiServer()
  const place = await put(server, 'a')
  await put(server, 'b')
  await server.api.request('DELETE', `${path}/a`)
  await using watch = server.watch(path, { resourceVersion: place })
  const [added, deleted] = [await watch.next(), await watch.next()]
  expect([added?.type, deleted?.type]).toEqual(['ADDED', 'DELETED'])
  // A deletion has a version of its own, from which the next watch resumes.
  expect(Number(deleted?.object.metadata.resourceVersion)).toBeGreaterThan(
    Number(added?.object.metadata.resourceVersion),
  )
  await using next = server.watch(path, { resourceVersion: deleted?.object.metadata.resourceVersion })
  await put(server, 'c')
  expect(await next.take(1)).toEqual(['ADDED c'])
})

test('rejects a version older than the event window with 410, but not the oldest one in it', async () => {
  await using server = await startTestApiServer({ eventWindow: 2 })
  const places = []
  for (const name of ['a', 'b', 'c', 'd']) places.push(await put(server, name))
  await using good = server.watch(path, { resourceVersion: places[1] })
  expect(await good.take(2)).toEqual(['ADDED c', 'ADDED d'])
  await using late = server.watch(path, { resourceVersion: places[0] })
  expect(await late.next()).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })
  expect(await late.next()).toBeUndefined()
  // A version of the server's previous run, higher than the current one.
  await using foreign = server.watch(path, { resourceVersion: 999_999_999_999_999 })
  expect(await foreign.next()).toMatchObject({ type: 'ERROR', object: { code: 410 } })
  expect(await foreign.next()).toBeUndefined()
})

test('sends all objects, the bookmark that ends the list, and then changes (WatchList)', async () => {
  await using server = await startTestApiServer()
  await put(server, 'a')
  const place = await put(server, 'b')
  const query = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: true }
  await using watch = server.watch(path, query)
  expect(await watch.take(2)).toEqual(['ADDED a', 'ADDED b'])
  expect(await watch.next()).toMatchObject({
    type: 'BOOKMARK',
    object: { metadata: { resourceVersion: place, annotations: { 'k8s.io/initial-events-end': 'true' } } },
  })
  await put(server, 'c')
  expect(await watch.take(1)).toEqual(['ADDED c'])
  await expect(
    server.api.request('GET', path, { query: { watch: true, sendInitialEvents: true } }),
  ).rejects.toMatchObject({ status: 422 })
})

test('ends an empty list at once (WatchList)', async () => {
  await using server = await startTestApiServer()
  await using watch = server.watch(path, {
    sendInitialEvents: true,
    resourceVersionMatch: 'NotOlderThan',
    allowWatchBookmarks: true,
  })
  expect((await watch.next())?.type).toBe('BOOKMARK')
})

test('rejects sendInitialEvents when WatchList is off', async () => {
  await using server = await startTestApiServer({ watchList: false })
  const query = { watch: true, sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }
  await expect(server.api.request('GET', path, { query })).rejects.toMatchObject({
    status: 422,
    message: expect.stringContaining('sendInitialEvents'),
  })
})

test('sends changes made during a long list after it', async () => {
  await using server = await startTestApiServer()
  const data = { text: 'x'.repeat(200_000) }
  for (let i = 0; i < 40; i++)
    await server.api.request('POST', path, { body: { metadata: { name: `big-${i}` }, data } })
  await using watch = server.watch(path, {
    sendInitialEvents: true,
    resourceVersionMatch: 'NotOlderThan',
    allowWatchBookmarks: true,
  })
  // The first event has arrived; the server waits for this client to read the rest.
  await watch.next()
  await server.api.request('DELETE', `${path}/big-0`)
  await server.api.request('POST', path, { body: { metadata: { name: 'late' } } })
  const types = []
  for (let i = 1; i < 40; i++) types.push((await watch.next())?.type)
  expect(new Set(types)).toEqual(new Set(['ADDED']))
  expect((await watch.next())?.type).toBe('BOOKMARK')
  expect(await watch.take(2)).toEqual(['DELETED big-0', 'ADDED late'])
})

test('sends ADDED when an object enters the selection, and DELETED with its last matching state when it leaves', async () => {
  await using server = await startTestApiServer()
  await put(server, 'x', { app: 'db' })
  await using watch = server.watch(path, { labelSelector: 'app=web' })
  await put(server, 'x', { app: 'web' })
  await put(server, 'x', { app: 'web', more: 'yes' })
  const place = await put(server, 'x', { app: 'db' })
  await put(server, 'y', { app: 'web' })
  expect(await watch.take(2)).toEqual(['ADDED x', 'MODIFIED x'])
  expect(await watch.next()).toMatchObject({
    type: 'DELETED',
    object: { metadata: { resourceVersion: place, labels: { app: 'web', more: 'yes' } } },
  })
  expect(await watch.take(1)).toEqual(['ADDED y'])
})

test('sends a kubelet only the pods of its node', async () => {
  await using server = await startTestApiServer()
  await using watch = server.watch('/api/v1/pods', { fieldSelector: 'spec.nodeName=node1' })
  const spec = { containers: [{ name: 'c', image: 'x' }] }
  for (const [name, nodeName] of [
    ['local', 'node1'],
    ['remote', 'node2'],
  ])
    await server.api.request('POST', '/api/v1/namespaces/default/pods', {
      body: { metadata: { name }, spec: { ...spec, nodeName } },
    })
  await server.api.request('POST', '/api/v1/namespaces/default/pods', { body: { metadata: { name: 'bound' }, spec } })
  await server.api.request('POST', '/api/v1/namespaces/default/pods/bound/binding', {
    body: { target: { kind: 'Node', name: 'node1' } },
  })
  expect(await watch.take(2)).toEqual(['ADDED local', 'ADDED bound'])
  await expect(
    server.api.request('GET', '/api/v1/pods', { query: { fieldSelector: 'spec.color=red' } }),
  ).rejects.toMatchObject({ status: 400, message: 'field label not supported: spec.color' })
})

test('sends bookmarks with the current version to watches that ask for them', async () => {
  await using server = await startTestApiServer({ bookmarkMs: 20 })
  const since = await put(server, 'a')
  await using plain = server.watch(path, { resourceVersion: since })
  await using watch = server.watch(path, { resourceVersion: since, allowWatchBookmarks: true })
  const place = (
    await server.api.request<{ metadata: { resourceVersion: string } }>('POST', '/api/v1/namespaces', {
      body: { metadata: { name: 'elsewhere' } },
    })
  ).metadata.resourceVersion
  let event = await watch.next()
  while (event?.object.metadata.resourceVersion !== place) event = await watch.next()
  expect(event).toMatchObject({ type: 'BOOKMARK', object: { kind: 'ConfigMap', apiVersion: 'v1' } })
  await put(server, 'b')
  expect((await plain.next())?.type).toBe('ADDED')
})

test('ends a watch after its timeout, and every watch at shutdown', async () => {
  const server = await startTestApiServer()
  await using short = server.watch(path, { timeoutSeconds: 1, allowWatchBookmarks: true })
  expect((await short.next())?.type).toBe('BOOKMARK')
  expect(await short.next()).toBeUndefined()
  await using long = server.watch(path)
  await put(server, 'a')
  await long.next()
  const [end] = await Promise.all([long.next(), server[Symbol.asyncDispose]()])
  expect(end).toBeUndefined()
})

test('sends a hundred watchers the same changes in the same order', async () => {
  await using server = await startTestApiServer()
  const watchers = Array.from({ length: 100 }, () => server.watch(path, { resourceVersion: 0 }))
  try {
    const names = Array.from({ length: 20 }, (_, i) => `c${i}`)
    for (const name of names) await put(server, name)
    const seen = await Promise.all(watchers.map((watch) => watch.take(20)))
    for (const one of seen) expect(one).toEqual(names.map((name) => `ADDED ${name}`))
  } finally {
    await Promise.all(watchers.map((watch) => watch[Symbol.asyncDispose]()))
  }
})
