import { expect, test } from 'vitest'
import { events as eventsResource } from './apiserver/resources.ts'
import { removeExpired } from './apiserver/events.ts'
import { startTestApiServer } from '../../test/support/lab-api-server.ts'
import { Store } from './apiserver/store.ts'
import { LabEventRecorder } from './event-recorder.ts'

const path = '/api/v1/namespaces/default/events'
const subject = { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'web', uid: 'u1' }
const details = (message: string) => ({ type: 'Normal', reason: 'Seen', message }) as const
const log = { debug: () => undefined }

interface Listed {
  items: { metadata: { name: string }; message: string; count: number }[]
}

test('counts a repeated event, and starts a new one when the old one was deleted', async () => {
  await using server = await startTestApiServer()
  const recorder = new LabEventRecorder({ api: server.as('kubelet-node1'), component: 'kubelet', host: 'node1', log })
  for (const message of ['one', 'two', 'one', 'one']) recorder.record(subject, details(message))
  await recorder.settled()
  const { items } = await server.api.request<Listed>('GET', path, {
    query: { fieldSelector: 'involvedObject.name=web,type=Normal' },
  })
  expect(items.map(({ message, count }) => `${message} ${count}`).toSorted()).toEqual(['one 3', 'two 1'])
  expect(items[0]).toMatchObject({ involvedObject: subject, source: { component: 'kubelet', host: 'node1' } })
  await server.api.request('DELETE', path)
  recorder.record(subject, details('one'))
  await recorder.settled()
  expect((await server.api.request<Listed>('GET', path)).items).toMatchObject([{ message: 'one', count: 1 }])
})

test('drops an event that cannot be written, and writes the next one', async () => {
  await using server = await startTestApiServer()
  const recorder = new LabEventRecorder({ api: server.api, component: 'kubelet', log })
  recorder.record({ ...subject, namespace: 'nowhere' }, details('lost'))
  recorder.record(subject, details('kept'))
  await recorder.settled()
  expect((await server.api.request<Listed>('GET', '/api/v1/events')).items).toMatchObject([{ message: 'kept' }])
})

test('removes an event one hour after it was last seen', () => {
  const table = new Store({ windowSize: 10 }).table(eventsResource)
  const now = Date.parse('2026-01-01T10:00:00Z')
  const event = (name: string, lastTimestamp: string) =>
    table.put({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: 'default', creationTimestamp: '2026-01-01T08:00:00Z' },
      lastTimestamp,
    })
  event('old', '2026-01-01T08:59:00Z')
  event('seen again', '2026-01-01T09:30:00Z')
  removeExpired(table, now)
  expect(table.list().map(({ object }) => object.metadata.name)).toEqual(['seen again'])
})
