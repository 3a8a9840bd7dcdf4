import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { ClusterEndpointSlice, SliceEndpoint } from '../../cluster/endpoint-slice.ts'
import { parseAddress } from '../../net/address.ts'
import type { ServicePort } from '../service-port.ts'
import { HealthCheckServers } from './health-check-servers.ts'
import { type ServiceHealthCheck, serviceHealthChecks } from './service-health-checks.ts'

const port: ServicePort = {
  id: 'ns/web:http',
  family: 4,
  namespace: 'ns',
  name: 'web',
  portName: 'http',
  protocol: 'tcp',
  clusterIp: parseAddress('10.0.0.1'),
  port: 80,
  nodePort: 30_080,
  externalIps: [],
  loadBalancerIps: [],
  sourceRanges: [],
  internalLocal: false,
  externalLocal: true,
  healthCheckNodePort: 32_000,
  affinitySeconds: undefined,
  createdAt: 0,
  uid: 'u',
}
const endpoint = (address: string, said: Partial<SliceEndpoint> = {}): SliceEndpoint => ({
  address: parseAddress(address),
  ready: true,
  serving: true,
  terminating: false,
  node: 'here',
  zoneHints: [],
  nodeHints: [],
  ...said,
})
const slice = (
  endpoints: readonly SliceEndpoint[],
  names: readonly string[],
  said: Partial<ClusterEndpointSlice> = {},
): ClusterEndpointSlice => ({
  namespace: 'ns',
  name: `web-${names.join('-')}`,
  service: 'web',
  family: 4,
  ports: names.map((name, i) => ({ name, protocol: 'tcp', port: 8080 + i })),
  endpoints,
  changeTriggeredAt: undefined,
  ...said,
})

test.each<[string, readonly ClusterEndpointSlice[], number]>([
  [
    'those of this node, once however many ports they have',
    [
      slice([endpoint('10.1.0.1'), endpoint('10.1.0.2', { node: 'there' })], ['http', 'https']),
      slice([endpoint('10.1.0.5')], ['https']),
    ],
    2,
  ],
  [
    'not one that is ending or unready',
    [
      slice(
        [endpoint('10.1.0.3', { ready: false, terminating: true }), endpoint('10.1.0.4', { ready: false })],
        ['http'],
      ),
    ],
    0,
  ],
  [
    'one that is ending and ready all the same (publishNotReadyAddresses)',
    [slice([endpoint('10.1.0.3', { serving: false, terminating: true })], ['http'])],
    1,
  ],
  ['one at a port of the slice that the Service has not', [slice([endpoint('10.1.0.1')], ['metrics'])], 1],
  [
    'none of another Service, namespace or family',
    [
      slice([endpoint('10.1.0.1')], ['http'], { service: 'other' }),
      slice([endpoint('10.1.0.1')], ['http'], { namespace: 'other' }),
      slice([endpoint('fd00::1')], ['http'], { family: 6 }),
    ],
    0,
  ],
])('a health check node port counts %s', (_, slices, localEndpoints) => {
  const https = { ...port, id: 'ns/web:https', portName: 'https' }
  const another = { ...port, name: 'other', healthCheckNodePort: 0 }
  expect(serviceHealthChecks([port, https, another], slices, 'here')).toEqual([
    { family: 4, namespace: 'ns', name: 'web', uid: port.uid, port: 32_000, localEndpoints },
  ])
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function servers(state = { healthy: true }) {
  const lines: string[] = []
  const log = pino(
    { base: null },
    { write: (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg) },
  )
  const running = new HealthCheckServers({
    log,
    proxyHealthy: () => state.healthy,
    neededBy: (port) => (port === 10_250 ? 'the kubelet' : undefined),
    addresses: () => [parseAddress('127.0.0.1')],
  })
  onTestFinished(async () => await running[Symbol.asyncDispose]())
  return { running, lines, state }
}

const check = (at: number, localEndpoints = 1): ServiceHealthCheck => ({
  family: 4,
  namespace: 'ns',
  name: 'web',
  uid: 'u1',
  port: at,
  localEndpoints,
})
const ask = async (at: number) => {
  const answer = await fetch(`http://127.0.0.1:${at}/any/path`, { headers: { connection: 'close' } })
  return [
    answer.status,
    answer.headers.get('x-load-balancing-endpoint-weight'),
    ((await answer.json()) as { serviceProxyHealthy: boolean }).serviceProxyHealthy,
  ]
}

test('a server answers for its Service, follows its count and the health of the proxy, and goes with it', async () => {
  const { running, state } = servers()
  const at = await freePort()
  await running.follow([check(at, 2)])
  expect(await ask(at)).toEqual([200, '2', true])
  await running.follow([check(at, 0)])
  expect(await ask(at)).toEqual([503, '0', true])
  await running.follow([check(at, 3)])
  state.healthy = false
  expect(await ask(at)).toEqual([503, '3', false])
  await running.follow([])
  await expect(ask(at)).rejects.toThrow('fetch failed')
})

test('a port that is taken is told of once, and opened when it is free', async () => {
  const { running, lines } = servers()
  const at = await freePort()
  const squatter = createServer().listen(at, '127.0.0.1')
  await once(squatter, 'listening')
  await running.follow([check(at)])
  await running.follow([check(at)])
  expect([running.size, lines]).toEqual([
    0,
    [expect.stringContaining('the health check node port of Service ns/web cannot be opened: listen EADDRINUSE')],
  ])
  expect(running.problems.map(({ reason }) => reason)).toEqual(['health-check-node-port-closed'])
  squatter.close()
  await once(squatter, 'close')
  await running.follow([check(at)])
  expect([await ask(at), lines.at(-1)]).toEqual([
    [200, '1', true],
    'the health check node port of Service ns/web is open',
  ])
  expect(running.problems).toEqual([])
})

test('a port goes from one Service to another in one step', async () => {
  const { running } = servers()
  const at = await freePort()
  await running.follow([check(at, 0)])
  await running.follow([{ ...check(at, 5), name: 'other' }])
  expect(await ask(at)).toEqual([200, '5', true])
})
