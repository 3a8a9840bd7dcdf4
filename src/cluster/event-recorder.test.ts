import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ApiError } from './api-error.ts'
import { EventRecorder } from './event-recorder.ts'
import type { ClusterEvent } from './event.ts'
import { FakeClock } from '../../test/support/fake-clock.ts'

const path = '/apis/events.k8s.io/v1/namespaces/shop/events'

function taken(note: string, more: Partial<ClusterEvent> = {}): ClusterEvent {
  return {
    regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'u1' },
    type: 'Warning',
    reason: 'ExternalIPTaken',
    action: 'ProgramService',
    note,
    ...more,
  }
}

function refusal(status: number, reason: string, message = reason): ApiError {
  return new ApiError({ status, reason, message })
}

interface Sent {
  readonly method: string
  readonly path: string
  readonly body: { note?: string; series?: { count: number; lastObservedTime: string } }
}

/** A recorder that runs until the scope ends, and an API server that answers by `answers`, then with success. */
function recorder(answers: (Error | undefined)[] = []) {
  const clock = new FakeClock()
  const sent: Sent[] = []
  const said: string[] = []
  const say = (_: unknown, sentence?: string): void => void said.push(sentence ?? String(_))
  const events = new EventRecorder({
    api: {
      request: async (method, path, settings) => {
        sent.push({ method, path, body: structuredClone(settings?.body ?? {}) })
        const answer = answers.shift()
        if (answer !== undefined) throw answer
        return undefined as never
      },
    },
    reporter: { controller: 'fairlead.dev/agent', instance: 'node1' },
    log: { debug: () => undefined, info: say, warn: say },
    clock,
  })
  const stop = new AbortController()
  const running = events.run(stop.signal)
  return {
    events,
    clock,
    sent,
    said,
    /** Enough turns of the loop for everything that waits. */
    async settled(): Promise<void> {
      for (let i = 0; i < 100; i++) await setImmediate()
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

test('counts in one Event what is seen again', async () => {
  await using r = recorder()
  r.events.record(taken('a'))
  await r.settled()
  r.clock.time = 60_000
  r.events.record(taken('a'))
  await r.settled()
  r.events.record(taken('a'))
  await r.settled()
  expect(r.sent.map(({ method, body }) => [method, body.series?.count])).toEqual([
    ['POST', undefined],
    ['PATCH', 2],
    ['PATCH', 3],
  ])
  expect(r.sent[0]?.path).toBe(path)
  expect(r.sent[1]).toMatchObject({ path: expect.stringMatching(`^${path}/web\\.[0-9a-f]{16}$`) as string })
  expect(r.sent[1]?.body).toEqual({ series: { count: 2, lastObservedTime: '1970-01-01T00:01:00.000000Z' } })
})

test('writes once what is seen several times before it is written', async () => {
  await using r = recorder()
  for (let i = 0; i < 5; i++) r.events.record(taken('a'))
  r.events.record(taken('b'))
  await r.settled()
  expect(r.sent.map(({ method, body }) => [method, body.note, body.series?.count])).toEqual([
    ['POST', 'a', 5],
    ['POST', 'b', undefined],
  ])
})

test('begins anew an Event that the API server no longer keeps', async () => {
  await using r = recorder([undefined, refusal(404, 'NotFound')])
  r.events.record(taken('a'))
  await r.settled()
  r.events.record(taken('a'))
  await r.settled()
  expect(r.sent.map(({ method, body }) => [method, body.series?.count])).toEqual([
    ['POST', undefined],
    ['PATCH', 2],
    ['POST', undefined],
  ])
})

test('goes on with an Event that an earlier agent of the node has written', async () => {
  await using r = recorder([refusal(409, 'AlreadyExists')])
  r.events.record(taken('a'))
  await r.settled()
  expect(r.sent.map(({ method, body }) => [method, body.series?.count])).toEqual([
    ['POST', undefined],
    ['PATCH', 2],
  ])
})

test('leaves to another node what every node reports, for as long as the Event is kept', async () => {
  await using r = recorder([refusal(409, 'AlreadyExists')])
  const record = async (at: number) => {
    r.clock.time = at
    r.events.record(taken('a', { everyNode: true }))
    await r.settled()
  }
  await record(0)
  await record(3_599_999)
  expect(r.sent.map(({ method }) => method)).toEqual(['POST'])
  await record(3_600_000)
  expect(r.sent.map(({ method }) => method)).toEqual(['POST', 'POST'])
})

test('says once that Events are refused and what allows them, asks no more for a while, and says when they are accepted', async () => {
  const message = 'events.events.k8s.io is forbidden'
  await using r = recorder([refusal(403, 'Forbidden', message), refusal(403, 'Forbidden', message)])
  const record = async (note: string, at: number) => {
    r.clock.time = at
    r.events.record(taken(note))
    await r.settled()
  }
  await record('a', 0)
  await record('b', 599_999)
  expect(r.sent).toHaveLength(1)
  await record('c', 600_000)
  expect(r.sent).toHaveLength(2)
  const sentence = `Events are not written, since the API server refuses them (${message}): apply the ClusterRole of deploy/base/rbac.yaml, which allows to create and patch events.events.k8s.io`
  expect(r.said).toEqual([sentence])
  await record('d', 1_200_000)
  expect(r.sent.at(-1)?.body.note).toBe('d')
  expect(r.said).toEqual([sentence, 'Events are written again'])
})

test('drops in silence what is about an object of a namespace that goes', async () => {
  const message = 'unable to create new content in namespace shop because it is being terminated'
  await using r = recorder([refusal(403, 'Forbidden', message), refusal(404, 'NotFound')])
  for (const note of ['a', 'b', 'c']) r.events.record(taken(note))
  await r.settled()
  expect(r.sent.map(({ body }) => body.note)).toEqual(['a', 'b', 'c'])
  expect(r.said).toEqual([])
})

test('tries again what was not answered, longer apart each time, and gives up at last', async () => {
  const away = Array.from({ length: 12 }, () => new Error('connect ECONNREFUSED'))
  await using r = recorder([new Error('connect ECONNREFUSED'), refusal(503, 'ServiceUnavailable'), undefined, ...away])
  r.events.record(taken('a'))
  await r.settled()
  expect(r.sent.map(({ body }) => body.note)).toEqual(['a', 'a', 'a'])
  expect(r.clock.sleeps).toEqual([600, 1200])
  r.events.record(taken('b'))
  r.events.record(taken('c'))
  await r.settled()
  expect(r.sent.map(({ body }) => body.note).slice(3)).toEqual([...away.map(() => 'b'), 'c'])
  expect(r.said).toEqual([])
})

test('limits the Events of one object, and of no other', async () => {
  await using r = recorder()
  const other = taken('other', { regarding: { ...taken('').regarding, uid: 'u2' } })
  for (let i = 0; i < 40; i++) r.events.record(taken(String(i)))
  r.events.record(other)
  await r.settled()
  expect(r.sent).toHaveLength(26)
  r.clock.time += 300_000
  r.events.record(taken('late'))
  r.events.record(taken('later'))
  await r.settled()
  expect(r.sent.slice(26).map(({ body }) => body.note)).toEqual(['late'])
})
