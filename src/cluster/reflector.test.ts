import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ApiConnection, type Credentials } from './api-connection.ts'
import { type Fault, FakeApiServer, line, refuse } from '../../test/support/fake-api-server.ts'
import { FakeClock, StoppedClock } from '../../test/support/fake-clock.ts'
import { asKubeObject, keyOf } from './kube-object.ts'
import { Reflector, type ReflectorSettings } from './reflector.ts'

/** Projects an object to its label `v`. The value "bad" cannot be read, and "hidden" is dropped. */
function project(raw: unknown): readonly [string, string] | undefined {
  const object = asKubeObject(raw)
  const value = object.metadata.labels?.['v'] ?? ''
  if (value === 'bad') throw new TypeError('Expected a good label, got `bad`')
  return value === 'hidden' ? undefined : [keyOf(object), value]
}

const anyone: Omit<Credentials, 'servers'> = { requestOptions: async () => ({ headers: {} }), reload: () => {} }

function connectionTo(server: FakeApiServer, credentials = anyone): ApiConnection {
  return new ApiConnection({
    servers: { candidates: [{ server: server.url, source: 'the test', kind: 'named' }], problems: [] },
    ...credentials,
  })
}

/** Builds a reflector that does not run yet, with everything that tests observe. */
function reflectorOf(
  server: FakeApiServer,
  settings: Partial<ReflectorSettings<string>> & { credentials?: Omit<Credentials, 'servers'> } = {},
) {
  const clock = new FakeClock()
  const logged: { level: number; msg: string }[] = []
  const log = pino(
    { level: 'debug' },
    { write: (text: string) => logged.push(JSON.parse(text) as (typeof logged)[number]) },
  )
  const api = connectionTo(server, settings.credentials)
  const reflector = new Reflector({
    api,
    path: '/api/v1/things',
    project,
    equals: (a, b) => a === b,
    log,
    clock,
    ...settings,
  })
  let signals = 0
  reflector.onChange(() => (signals += 1))
  const stop = new AbortController()
  const start = (): Promise<void> => {
    const running = reflector.run(stop.signal)
    onTestFinished(async () => {
      stop.abort()
      await running
    })
    return running
  }
  return {
    reflector,
    clock,
    start,
    stop,
    warnings: () => logged.filter(({ level }) => level >= 40).map(({ msg }) => msg),
    signals: () => signals,
  }
}

function wanted(server: FakeApiServer): Record<string, string> {
  const shown = [...server.objects].map(
    ([name, { metadata }]) => [`default/${name}`, metadata.labels['v'] ?? ''] as const,
  )
  return Object.fromEntries(shown.filter(([, value]) => value !== 'hidden'))
}

function kept(reflector: Reflector<string>): Record<string, string> {
  return Object.fromEntries(reflector.snapshot)
}

const proper: Fault = (_, serve) => serve()

async function eventually(assertion: () => void): Promise<void> {
  await vi.waitFor(assertion, { interval: 2, timeout: 20_000 })
}

/** Waits until a watch is open and the reflector holds the server's objects. */
async function converged(reflector: Reflector<string>, server: FakeApiServer): Promise<void> {
  await eventually(() => {
    expect(reflector.status().state).toBe('watching')
    expect(server.openWatches).toBeGreaterThan(0)
    expect(kept(reflector)).toEqual(wanted(server))
  })
}

test('lists and watches in one request', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  server.put('b', { v: '1' })
  const { reflector, start } = reflectorOf(server, { selector: { field: 'spec.nodeName=n1', label: 'app=web' } })
  expect(reflector.status()).toMatchObject({ state: 'stopped', synced: false })
  void start()
  await reflector.whenSynced()
  await converged(reflector, server)
  server.put('b', { v: '2' })
  server.put('c', { v: '1' })
  server.delete('a')
  await converged(reflector, server)
  expect(server.requests).toHaveLength(1)
  expect(Object.fromEntries(server.requests[0]!)).toMatchObject({
    fieldSelector: 'spec.nodeName=n1',
    labelSelector: 'app=web',
    resourceVersionMatch: 'NotOlderThan',
    timeoutSeconds: '450',
  })
  expect(reflector.status()).toMatchObject({
    synced: true,
    objects: 2,
    relists: 0,
    reconnects: 0,
    lastError: undefined,
  })
})

test('signals that an empty collection is synced', async () => {
  await using server = await FakeApiServer.start()
  const { reflector, start, signals } = reflectorOf(server)
  void start()
  await reflector.whenSynced()
  expect(reflector.synced).toBe(true)
  await eventually(() => expect(signals()).toBe(1))
})

test('keeps the snapshot and does not signal when nothing kept changes, and signals a burst once', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  const { reflector, start, signals } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  await eventually(() => expect(signals()).toBe(1))
  const { snapshot } = reflector
  const before = reflector.status().lastEventAt
  server.put('a', { v: '1', heartbeat: '2' })
  server.send(line('ADDED', server.objects.get('a')))
  server.send(line('DELETED', { metadata: { name: 'never-seen', namespace: 'default', resourceVersion: '3' } }))
  server.put('h', { v: 'hidden' })
  server.bookmark()
  server.cutWatches()
  await eventually(() => expect(reflector.status()).toMatchObject({ reconnects: 1, state: 'watching' }))
  expect(before).toBeDefined()
  expect(reflector.snapshot).toBe(snapshot)
  expect(signals()).toBe(1)
  for (let i = 0; i < 50; i++) server.put(`burst-${i}`)
  await converged(reflector, server)
  await eventually(() => expect(signals()).toBeGreaterThan(1))
  expect(signals()).toBeLessThan(10)
  expect(snapshot.size).toBe(1)
})

test('removes an object that the projection drops', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  const { reflector, start } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  server.put('a', { v: 'hidden' })
  await converged(reflector, server)
  expect(reflector.snapshot.size).toBe(0)
})

test('reads lines that are split over chunks, even within UTF-8 sequences', async () => {
  await using server = await FakeApiServer.start()
  server.chunkBytes = 3
  server.put('a', { v: 'größer → ∞' })
  const { reflector, start } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  server.put('b', { v: '🚢🚢' })
  await converged(reflector, server)
  expect(reflector.snapshot.get('default/b')).toBe('🚢🚢')
})

test('resumes from the last complete line after a connection broke in the middle of one', async () => {
  await using server = await FakeApiServer.start()
  const { reflector, start } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  server.put('a', { v: '1' })
  await converged(reflector, server)
  server.send(line('ADDED', server.objects.get('a')).slice(0, 20))
  server.cutWatches()
  server.put('b', { v: '1' })
  await converged(reflector, server)
  expect(reflector.status()).toMatchObject({ relists: 0, reconnects: 1 })
  expect(server.requests.at(-1)!.get('resourceVersion')).toBe('2')
})

test('opens the next watch at once when the server ends one, and does not warn', async () => {
  await using server = await FakeApiServer.start()
  const { reflector, start, clock, warnings } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  clock.time += 400_000
  server.endWatches()
  server.put('a', { v: '1' })
  await eventually(() => expect(reflector.status().reconnects).toBe(1))
  await converged(reflector, server)
  expect(clock.sleeps).toEqual([])
  expect(warnings()).toEqual([])
})

test('gives up a request that the server does not answer', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  server.faults.push(
    () => {},
    () => {},
  )
  const { reflector, start, warnings } = reflectorOf(server, { limits: { headersTimeoutMs: 20 } })
  void start()
  await converged(reflector, server)
  expect(warnings()).toEqual([expect.stringContaining('was not answered within 0.02 s')])
  expect(server.requests).toHaveLength(3)
})

test('cuts off a watch that outlives its deadline, and resumes it', async () => {
  await using server = await FakeApiServer.start()
  const { reflector, start } = reflectorOf(server, { limits: { watchSeconds: 0, graceMs: 50 } })
  void start()
  await reflector.whenSynced()
  await eventually(() => expect(reflector.status().reconnects).toBeGreaterThan(1))
  server.put('a', { v: '1' })
  await eventually(() => expect(kept(reflector)).toEqual(wanted(server)))
  expect(reflector.status().relists).toBe(0)
})

test.each(['status', 'event'] as const)(
  'lists again after 410 (%s), and drops what was deleted meanwhile',
  async (how) => {
    await using server = await FakeApiServer.start()
    server.expiresBy = how
    server.put('a', { v: '1' })
    server.put('b', { v: '1' })
    const { reflector, start, clock } = reflectorOf(server)
    void start()
    await converged(reflector, server)
    server.faults.push((_, serve) => {
      server.delete('a')
      server.put('c', { v: '1' })
      server.compact()
      serve()
    })
    server.cutWatches()
    await eventually(() => expect(reflector.status().relists).toBe(1))
    await converged(reflector, server)
    expect(clock.sleeps).toHaveLength(2)
  },
)

test('lists again after 410 in the middle of a watch', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  const { reflector, start } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  const { snapshot } = reflector
  server.send(line('ERROR', { kind: 'Status', code: 410, message: 'too old resource version' }))
  await eventually(() => expect(reflector.status().relists).toBe(1))
  await converged(reflector, server)
  expect(reflector.snapshot).toBe(snapshot)
})

test('reads pages from a server without WatchList, and does not try WatchList again', async () => {
  await using server = await FakeApiServer.start()
  server.streamsLists = false
  for (let i = 0; i < 1200; i++) server.put(`p${i}`, { v: String(i) })
  const { reflector, start, warnings } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(server.requests.slice(1, 4).map((query) => [query.get('limit'), query.get('continue')])).toEqual([
    ['500', null],
    ['500', '500'],
    ['500', '1000'],
  ])
  server.delete('p7')
  server.compact()
  server.faults.push(refuse(410))
  server.cutWatches()
  await eventually(() => expect(reflector.status().relists).toBe(1))
  await converged(reflector, server)
  expect(server.requests.filter((query) => query.has('sendInitialEvents'))).toHaveLength(1)
  expect(warnings().some((text) => text.includes('400'))).toBe(false)
})

test('lists once without pages when a continue token expires', async () => {
  await using server = await FakeApiServer.start()
  server.streamsLists = false
  for (let i = 0; i < 600; i++) server.put(`p${i}`)
  server.faults.push(proper, proper, refuse(410))
  const { reflector, start, clock } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(server.requests.map((query) => query.get('limit'))).toEqual([null, '500', '500', null, null])
  expect(clock.sleeps).toEqual([])
})

test('reads pages, and shows no partial list, when the stream ends before its list is complete', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  server.faults.push((response) => response.end(line('ADDED', { metadata: { name: 'ghost', namespace: 'default' } })))
  const { reflector, start } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(server.requests[1]!.get('limit')).toBe('500')
})

test('reads pages when the server ends a streamed list at once (old etcd), and streams the next list', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  const breakOff: Fault = (response) =>
    response.end(
      line('ERROR', {
        kind: 'Status',
        code: 500,
        reason: 'InternalError',
        message: 'the required storage feature RequestWatchProgress is disabled',
      }),
    )
  server.faults.push(breakOff)
  const { reflector, start, warnings } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(server.requests[1]!.get('limit')).toBe('500')
  expect(warnings()).toEqual([])
  server.compact()
  server.faults.push(refuse(410))
  server.cutWatches()
  await eventually(() => expect(reflector.status().relists).toBe(1))
  await converged(reflector, server)
  expect(server.requests.filter((query) => query.has('sendInitialEvents'))).toHaveLength(2)
})

test('resumes from a bookmark', async () => {
  await using server = await FakeApiServer.start()
  const { reflector, start } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  server.put('a', { v: '1' })
  server.bookmark()
  await converged(reflector, server)
  server.compact()
  server.cutWatches()
  await eventually(() => expect(reflector.status().reconnects).toBe(1))
  await converged(reflector, server)
  expect(reflector.status().relists).toBe(0)
})

test('reloads a token that was rejected with 401', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  let token = 'old'
  const tokens: unknown[] = []
  const recorded =
    (then: Fault): Fault =>
    (response, serve, request) => {
      tokens.push(request.headers.authorization)
      then(response, serve, request)
    }
  server.faults.push(recorded(refuse(401)), recorded(proper))
  const credentials = {
    requestOptions: async () => ({ headers: { Authorization: `Bearer ${token}` } }),
    reload: () => void (token = 'new'),
  }
  const { reflector, start, clock } = reflectorOf(server, { credentials })
  void start()
  await converged(reflector, server)
  expect(tokens).toEqual(['Bearer old', 'Bearer new'])
  expect(clock.sleeps).toEqual([])
})

test('backs off after 401 when the credentials have not changed', async () => {
  await using server = await FakeApiServer.start()
  server.faults.push(refuse(401), refuse(401), refuse(403))
  const { reflector, start, clock } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(server.requests).toHaveLength(4)
  expect(clock.sleeps).toHaveLength(3)
})

test('waits as long as Retry-After asks, up to five minutes', async () => {
  await using server = await FakeApiServer.start()
  server.faults.push(refuse(429, { 'retry-after': '7' }), refuse(429, { 'retry-after': '999999' }))
  const { reflector, start, clock } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(clock.sleeps).toEqual([7000, 300_000])
})

test('backs off during a long outage with one request per wait and one warning', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  server.faults.push(...Array.from({ length: 40 }, () => refuse(503)))
  const { reflector, start, clock, warnings } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(server.requests).toHaveLength(41)
  expect(clock.sleeps.slice(0, 3)).toEqual([600, 1200, 2400])
  expect(Math.max(...clock.sleeps)).toBeLessThanOrEqual(30_000)
  expect(warnings()).toHaveLength(1)
})

test('ends the wait of every reflector when one is answered', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  server.faults.push(refuse(503), refuse(503))
  const api = connectionTo(server)
  const patient = reflectorOf(server, { api, clock: new StoppedClock() })
  void patient.start()
  await eventually(() => expect(patient.reflector.status()).toMatchObject({ state: 'waiting', synced: false }))
  const quick = reflectorOf(server, { api })
  void quick.start()
  await converged(quick.reflector, server)
  await converged(patient.reflector, server)
  expect(server.requests).toHaveLength(4)
})

test('backs off with one warning while the server does not know the resource, until an upgrade adds it', async () => {
  await using server = await FakeApiServer.start()
  server.put('a', { v: '1' })
  const notFound: Fault = (response) =>
    response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found\n')
  server.faults.push(...Array.from({ length: 30 }, () => notFound))
  const { reflector, start, clock, warnings } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(server.requests).toHaveLength(31)
  expect(clock.sleeps.slice(10).every((ms) => ms >= 15_000)).toBe(true)
  expect(warnings()).toEqual([expect.stringContaining('404')])
})

test('lists again after three rejections of the resourceVersion', async () => {
  await using server = await FakeApiServer.start()
  const { reflector, start } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  server.faults.push(refuse(500), (response) => response.end('no event\n'), refuse(504))
  server.cutWatches()
  await eventually(() => expect(reflector.status().relists).toBe(1))
  await converged(reflector, server)
  expect(reflector.status().reconnects).toBe(3)
})

test.each<[string, Fault]>([
  ['ends each watch at once', (response) => response.end()],
  ['ends each list at once', (response) => response.end('{}')],
  ['answers 410 to everything', refuse(410)],
  ['breaks each connection', (response) => response.destroy()],
  ['sends nonsense', (response) => response.end('nonsense\n')],
  ['sends null events', (response) => response.end(line('ADDED', null))],
])('pauses between requests to a server that %s', async (_, fault) => {
  await using server = await FakeApiServer.start()
  server.faults.push(...Array.from({ length: 30 }, () => fault))
  const { reflector, start, clock } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  expect(server.requests.length).toBeLessThanOrEqual(clock.sleeps.length + 3)
  expect(clock.sleeps.at(-1)).toBeGreaterThan(10_000)
})

test('reopens a watch that ends at once with growing pauses', async () => {
  await using server = await FakeApiServer.start()
  const { reflector, start, clock } = reflectorOf(server)
  void start()
  await converged(reflector, server)
  server.faults.push(...Array.from({ length: 10 }, (): Fault => (response) => response.end()))
  server.cutWatches()
  await eventually(() => expect(reflector.status().reconnects).toBe(11))
  await converged(reflector, server)
  expect(clock.sleeps.slice(0, 4)).toEqual([600, 1200, 2400, 4800])
  expect(reflector.status()).toMatchObject({ relists: 0, lastError: undefined })
})

test('leaves out an unreadable object, keeps its last good value, and warns once for each', async () => {
  await using server = await FakeApiServer.start()
  server.put('good', { v: '1' })
  server.put('never', { v: 'bad' })
  const { reflector, start, warnings } = reflectorOf(server)
  void start()
  await reflector.whenSynced()
  server.put('good', { v: 'bad' })
  server.put('never', { v: 'bad', again: 'yes' })
  server.put('last', { v: '1' })
  await eventually(() => expect(kept(reflector)).toEqual({ 'default/good': '1', 'default/last': '1' }))
  expect(warnings()).toEqual([
    'default/never of /api/v1/things cannot be read and is left out: Expected a good label, got `bad`',
    'default/good of /api/v1/things cannot be read and keeps its previous value: Expected a good label, got `bad`',
  ])
  server.compact()
  server.send(line('ERROR', { code: 410 }))
  await eventually(() => expect(reflector.status()).toMatchObject({ relists: 1, state: 'watching' }))
  expect(kept(reflector)).toEqual({ 'default/good': '1', 'default/last': '1' })
  server.put('good', { v: '2' })
  await eventually(() => expect(reflector.snapshot.get('default/good')).toBe('2'))
  server.delete('never')
  server.put('never', { v: 'bad' })
  await eventually(() => expect(warnings().filter((text) => text.includes('default/never'))).toHaveLength(2))
})

test.each<[string, Fault]>([
  ['is watching', proper],
  ['waits for an answer', () => {}],
])('stops a reflector that %s when the signal fires', async (_, fault) => {
  await using server = await FakeApiServer.start()
  server.faults.push(fault)
  const { reflector, start, stop } = reflectorOf(server)
  const running = start()
  await eventually(() => expect(server.requests).toHaveLength(1))
  stop.abort()
  await running
  expect(reflector.status()).toMatchObject({ state: 'stopped', lastError: undefined })
  await eventually(() => expect(server.openWatches).toBe(0))
})

type Step = (server: FakeApiServer) => void
/** Lets reflector and server run for some turns of the event loop. */
const pause: Step = () => {}

test('converges to the state of the server after any sequence of changes and faults', async () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd')
  const value = fc.constantFrom('1', '2', 'hidden')
  const change: fc.Arbitrary<Step> = fc.oneof(
    fc.tuple(name, value).map(
      ([name, v]) =>
        (server: FakeApiServer) =>
          server.put(name, { v }),
    ),
    name.map((name) => (server: FakeApiServer) => server.delete(name)),
  )
  const fault = fc.constantFrom<Fault>(
    refuse(410),
    refuse(500),
    refuse(429),
    (response) => response.destroy(),
    (response) => response.end(),
    (response) => response.end('{"type":"ADD'),
  )
  const trouble: fc.Arbitrary<Step> = fc.oneof(
    fc.constantFrom<Step>(
      (server) => server.cutWatches(),
      (server) => server.endWatches(),
      (server) => server.compact(),
      (server) => server.bookmark(),
      (server) => server.send('{"type":"MODI'),
      (server) => server.send(line('ERROR', { code: 410 })),
      (server) => void (server.streamsLists = !server.streamsLists),
      (server) => void (server.expiresBy = server.expiresBy === 'status' ? 'event' : 'status'),
    ),
    fault.map((fault) => (server: FakeApiServer) => void server.faults.push(fault)),
    fc.integer({ min: 1, max: 40 }).map((bytes) => (server: FakeApiServer) => void (server.chunkBytes = bytes)),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          { weight: 3, arbitrary: change },
          { weight: 2, arbitrary: trouble },
          { weight: 3, arbitrary: fc.constant(pause) },
        ),
        { maxLength: 40 },
      ),
      async (steps) => {
        await using server = await FakeApiServer.start()
        const { reflector, start, stop, clock } = reflectorOf(server)
        const running = start()
        for (const step of steps) {
          if (step === pause) for (let turn = 0; turn < 10; turn++) await setImmediate()
          else step(server)
        }
        // The last text sent may be half a line, which a real server never leaves without an end of the connection.
        server.cutWatches()
        await converged(reflector, server)
        expect(server.requests.length).toBeLessThanOrEqual(2 * clock.sleeps.length + 6)
        stop.abort()
        await running
      },
    ),
    { numRuns: 40 },
  )
})
