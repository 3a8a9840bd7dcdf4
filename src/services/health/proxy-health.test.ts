import { expect, test } from 'vitest'
import { ProxyHealth, serviceHealth } from './proxy-health.ts'

function health() {
  const state = { now: Date.UTC(2026, 0, 1), eligible: true }
  const proxy = new ProxyHealth({ patienceMs: 60_000, eligible: () => state.eligible, now: () => state.now })
  return { state, proxy, after: (ms: number) => (state.now += ms) }
}

test('live while changes are in force within their time, counted from the oldest that waits', () => {
  const { proxy, after } = health()
  after(3_600_000)
  expect(proxy.livez().status).toBe(200)
  proxy.queued(4)
  after(59_999)
  proxy.queued(4)
  expect(proxy.livez().status).toBe(200)
  after(1)
  expect(proxy.livez().status).toBe(503)
  proxy.updated(4)
  expect(proxy.livez().status).toBe(200)
})

test('what came while a sync ran goes on waiting', () => {
  const { state, proxy, after } = health()
  proxy.queued(4)
  after(50_000)
  proxy.updated(4, state.now)
  after(50_000)
  expect(proxy.live).toBe(true)
  after(10_000)
  expect(proxy.live).toBe(false)
})

test('one family that lags makes the whole unhealthy', () => {
  const { proxy, after } = health()
  proxy.updated(4)
  proxy.queued(6)
  after(60_000)
  expect(JSON.parse(proxy.livez().body)).toMatchObject({
    healthy: false,
    status: { IPv4: { healthy: true }, IPv6: { healthy: false } },
  })
})

test('a node that is leaving is live but not healthy, and its body says why', () => {
  const { state, proxy, after } = health()
  proxy.updated(4)
  after(1000)
  state.eligible = false
  expect([proxy.livez().status, proxy.healthz().status]).toEqual([200, 503])
  const started = '2026-01-01T00:00:00.000Z'
  expect(JSON.parse(proxy.healthz().body)).toEqual({
    lastUpdated: started,
    currentTime: '2026-01-01T00:00:01.000Z',
    nodeEligible: false,
    healthy: true,
    status: { IPv4: { lastUpdated: started, healthy: true } },
  })
  expect(JSON.parse(proxy.livez().body)).not.toHaveProperty('nodeEligible')
})

test.each([
  [2, true, 200],
  [0, true, 503],
  [2, false, 503],
])('a health check node port with %i local endpoints, proxy healthy %s: %i', (endpoints, healthy, status) => {
  expect(serviceHealth({ namespace: 'ns', name: 'web' }, endpoints, healthy)).toEqual({
    status,
    headers: {
      'content-type': 'application/json',
      'x-content-type-options': 'nosniff',
      'x-load-balancing-endpoint-weight': String(endpoints),
    },
    body: `{\n\t"service": {\n\t\t"namespace": "ns",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": ${endpoints},\n\t"serviceProxyHealthy": ${healthy}\n}`,
  })
})
