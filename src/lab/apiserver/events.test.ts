import { afterAll, beforeAll, expect, test } from 'vitest'
import { EventRecorder } from '../../cluster/event-recorder.ts'
import type { ClusterEvent } from '../../cluster/event.ts'
import type { UserName } from './authentication.ts'
import { removeExpired } from './events.ts'
import { events } from './resources.ts'
import { type TestApiServer, startTestApiServer } from '../../../test/support/lab-api-server.ts'
import { Store } from './store.ts'

const core = '/api/v1/namespaces/default/events'
const path = '/apis/events.k8s.io/v1/namespaces/default/events'
const regarding = { apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'web', uid: 'u1' }
const event: ClusterEvent = {
  regarding,
  type: 'Warning',
  reason: 'Taken',
  action: 'ProgramService',
  note: 'it is taken',
}

interface Listed {
  readonly items: readonly Record<string, unknown>[]
}

let server: TestApiServer
beforeAll(async () => {
  server = await startTestApiServer()
})
afterAll(async () => await server[Symbol.asyncDispose]())

/** Starts a recorder that runs until the scope ends; `warnings` are the messages it logged. */
function recorderOf(user: UserName) {
  const warnings: string[] = []
  const log = (fields: unknown, sentence?: string): void => void warnings.push(sentence ?? String(fields))
  const recorder = new EventRecorder({
    api: server.as(user),
    reporter: { controller: 'fairlead.dev/agent', instance: 'node1' },
    log: { debug: () => undefined, info: log, warn: log },
  })
  const stop = new AbortController()
  const running = recorder.run(stop.signal)
  return {
    recorder,
    warnings,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

/** Records an event several times as an agent, and waits each time until the API server has counted it. */
async function record(event: ClusterEvent, times: number): Promise<void> {
  await using agent = recorderOf('agent-node1')
  for (let seen = 1; seen <= times; seen++) {
    agent.recorder.record(event)
    await expect.poll(async () => (await newest(event.note))?.count, { timeout: 30_000 }).toBe(seen)
  }
  expect(agent.warnings).toEqual([])
}

async function newest(note: string): Promise<{ count: number } | undefined> {
  const { items } = await server.api.request<Listed>('GET', '/apis/events.k8s.io/v1/events')
  const found = items.find((item) => item['note'] === note) as { series?: { count: number } } | undefined
  return found && { count: found.series?.count ?? 1 }
}

test('serves an Event of an agent in both versions, and counts repetitions', async () => {
  await record(event, 3)
  const both = { series: { count: 3 }, type: 'Warning', reason: 'Taken', action: 'ProgramService' }
  const query = { fieldSelector: 'involvedObject.uid=u1' }
  const [shown] = (await server.api.request<Listed>('GET', core, { query })).items
  expect(shown).toMatchObject({
    apiVersion: 'v1',
    kind: 'Event',
    involvedObject: regarding,
    message: 'it is taken',
    reportingComponent: 'fairlead.dev/agent',
    reportingInstance: 'node1',
    ...both,
  })
  expect(shown).not.toHaveProperty('note')
  const { items } = await server.api.request<Listed>('GET', path, { query: { fieldSelector: 'regarding.uid=u1' } })
  expect(items).toMatchObject([
    {
      apiVersion: 'events.k8s.io/v1',
      regarding,
      note: 'it is taken',
      reportingController: 'fairlead.dev/agent',
      ...both,
    },
  ])
  await expect(server.api.request('GET', path, { query })).rejects.toMatchObject({ status: 400 })
})

test('drops Events without the right to write them, and says once how to grant it', async () => {
  await using kubelet = recorderOf('kubelet-node1')
  kubelet.recorder.record({ ...event, note: 'not written' })
  kubelet.recorder.record({ ...event, note: 'neither' })
  await expect.poll(() => kubelet.warnings, { timeout: 30_000 }).toHaveLength(1)
  expect(kubelet.warnings[0]).toContain(
    'Events are not written, since the API server refuses them (events.events.k8s.io is forbidden: ' +
      'User "system:node:node1" cannot create resource "events" in API group "events.k8s.io" ' +
      'in the namespace "default"): apply the ClusterRole of deploy/base/rbac.yaml',
  )
  expect(await newest('not written')).toBeUndefined()
})

test('stores an Event about a Node in the namespace default', async () => {
  await record(
    { ...event, regarding: { apiVersion: 'v1', kind: 'Node', name: 'node1', uid: 'n1' }, note: 'of a node' },
    1,
  )
  expect((await server.api.request<Listed>('GET', core)).items.map(({ message }) => message)).toContain('of a node')
})

test('sends Events written in one version to watches of the other', async () => {
  await using watch = server.watch(path, { resourceVersion: '0', fieldSelector: 'regarding.name=db' })
  await server.api.request('POST', core, {
    body: {
      metadata: { name: 'old' },
      involvedObject: { ...regarding, name: 'db' },
      message: 'old words',
      source: { component: 'kubelet', host: 'node1' },
      count: 7,
    },
  })
  expect(await watch.next()).toMatchObject({
    type: 'ADDED',
    object: {
      apiVersion: 'events.k8s.io/v1',
      note: 'old words',
      deprecatedSource: { component: 'kubelet' },
      deprecatedCount: 7,
    },
  })
})

test.each([
  ['an eventTime without microseconds', { eventTime: '2026-01-01T00:00:00Z' }, 'eventTime'],
  ['no action', { action: undefined }, 'action'],
  ['no reporter', { reportingController: '' }, 'reportingController'],
  ['another type', { type: 'Error' }, 'type'],
  ['a note that is too long', { note: 'x'.repeat(1025) }, 'message'],
  ['a series of one', { series: { count: 1, lastObservedTime: '2026-01-01T00:00:00.000000Z' } }, 'series.count'],
  ['a count as v1 has it', { deprecatedCount: 1 }, 'deprecatedCount'],
])('rejects %s, like the real server', async (_, change, field) => {
  const body = {
    metadata: { name: 'wrong' },
    ...event,
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingController: 'fairlead.dev/agent',
    reportingInstance: 'node1',
    ...change,
  }
  await expect(server.api.request('POST', path, { body })).rejects.toMatchObject({
    status: 422,
    message: expect.stringContaining(`${field}: `) as string,
  })
})

test('removes an Event one hour after it was last seen', () => {
  const table = new Store({ windowSize: 10 }).table(events)
  const event = (name: string, fields: object) =>
    table.put({ apiVersion: 'v1', kind: 'Event', metadata: { name, namespace: 'default' }, ...fields })
  const eventTime = '2026-01-01T08:00:00.000000Z'
  event('old', { eventTime })
  event('seen again', { eventTime, series: { count: 2, lastObservedTime: '2026-01-01T09:30:00.000000Z' } })
  removeExpired(table, Date.parse('2026-01-01T10:00:00Z'))
  expect(table.list().map(({ object }) => object.metadata.name)).toEqual(['seen again'])
})
