import { expect, test } from 'vitest'
import { type TestApiServer, startTestApiServer } from '../../../test/support/lab-api-server.ts'

interface Page {
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number }
  items: { metadata: { name: string } }[]
}

const path = '/api/v1/namespaces/default/configmaps'

async function fill(server: TestApiServer, names: readonly string[]): Promise<void> {
  for (const name of names)
    await server.api.request('POST', path, {
      body: { metadata: { name, labels: { odd: String(names.indexOf(name) % 2) } } },
    })
}

const list = async (server: TestApiServer, query: Record<string, string | number> = {}): Promise<Page> =>
  await server.api.request<Page>('GET', path, { query })
const namesOf = ({ items }: Page): string[] => items.map(({ metadata }) => metadata.name)

test('serves all pages from one snapshot, whatever changes meanwhile', async () => {
  await using server = await startTestApiServer()
  await fill(server, ['a', 'b', 'c', 'd', 'e'])
  const first = await list(server, { limit: 2 })
  expect(namesOf(first)).toEqual(['a', 'b'])
  expect(first.metadata.remainingItemCount).toBe(3)
  await server.api.request('DELETE', `${path}/c`)
  await fill(server, ['bb'])
  const second = await list(server, { limit: 2, continue: first.metadata.continue ?? '' })
  const last = await list(server, { limit: 2, continue: second.metadata.continue ?? '' })
  expect([...namesOf(second), ...namesOf(last)]).toEqual(['c', 'd', 'e'])
  expect(last.metadata).toEqual({ resourceVersion: first.metadata.resourceVersion })
  // A watch from that version sees the changes that the pages did not show.
  await using watch = server.watch(path, { resourceVersion: last.metadata.resourceVersion })
  expect(await watch.take(2)).toEqual(['DELETED c', 'ADDED bb'])
})

test('rejects an expired and an unknown continue token with 410', async () => {
  await using server = await startTestApiServer({ eventWindow: 2 })
  await fill(server, ['a', 'b', 'c'])
  const token = (await list(server, { limit: 1 })).metadata.continue ?? ''
  await fill(server, ['d', 'e'])
  expect(namesOf(await list(server, { limit: 1, continue: token }))).toEqual(['b'])
  await fill(server, ['f'])
  await expect(list(server, { limit: 1, continue: token })).rejects.toMatchObject({ status: 410, reason: 'Expired' })
  await expect(list(server, { limit: 1, continue: 'made-up' })).rejects.toMatchObject({ status: 410 })
})

test('counts only matching objects towards the limit', async () => {
  await using server = await startTestApiServer()
  await fill(server, ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
  const first = await list(server, { limit: 2, labelSelector: 'odd=1' })
  expect([namesOf(first), first.metadata.remainingItemCount]).toEqual([['b', 'd'], undefined])
  const last = await list(server, { limit: 2, labelSelector: 'odd=1', continue: first.metadata.continue ?? '' })
  expect([namesOf(last), last.metadata.continue]).toEqual([['f'], undefined])
})

test('rejects a version from the future with the cause that client-go recognizes', async () => {
  await using server = await startTestApiServer()
  const { resourceVersion } = (await list(server)).metadata
  await expect(list(server, { resourceVersion: Number(resourceVersion) + 1000 })).rejects.toMatchObject({
    status: 504,
    message: expect.stringContaining('Too large resource version'),
  })
  expect((await list(server, { resourceVersion: 0 })).metadata.resourceVersion).toBe(resourceVersion)
  await fill(server, ['a'])
  await expect(list(server, { resourceVersion, resourceVersionMatch: 'Exact' })).rejects.toMatchObject({ status: 410 })
})
