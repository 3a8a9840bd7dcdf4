import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { hostVethName } from '../../net/interface-name.ts'
import { cachedAdds } from './result-cache.ts'

const containerId = '5c0ffee'
const veth = hostVethName(containerId, 'eth0')
/** As libcni 1.2 writes it; go-cni's port mappings have capital letters. */
const record = {
  kind: 'cniCacheV1',
  containerId,
  config: Buffer.from('{"name":"fairlead","plugins":[{"type":"fairlead-cni"}]}').toString('base64'),
  ifName: 'eth0',
  networkName: 'fairlead',
  netns: '/var/run/netns/cni-1',
  cniArgs: [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', 'shop'],
    ['K8S_POD_NAME', 'web-0'],
    ['K8S_POD_UID', 'u1'],
  ],
  capabilityArgs: {
    portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }],
    bandwidth: { IngressRate: 1_000_000, IngressBurst: 80_000, EgressRate: 0, EgressBurst: 0 },
    dns: { Servers: ['10.254.0.2'] },
  },
  result: {
    cniVersion: '1.1.0',
    interfaces: [{ name: veth }, { name: 'eth0', mac: '0a:58:0a:f4:01:05', sandbox: '/var/run/netns/cni-old' }],
    ips: [{ address: '10.244.1.5/24', gateway: '10.244.1.1', interface: 1 }],
    routes: [{ dst: '0.0.0.0/0', gw: '10.244.1.1' }],
    dns: {},
  },
}

let cniDir = ''
const said: string[] = []
const log = pino({ base: null }, { write: (line) => said.push(line) })
beforeEach(() => {
  cniDir = mkdtempSync(join(tmpdir(), 'fairlead-cni-'))
  said.length = 0
})
afterEach(() => rmSync(cniDir, { recursive: true }))

function write(text: string | object, directory = 'results', name = `fairlead-${containerId}-eth0`): void {
  mkdirSync(join(cniDir, directory), { recursive: true })
  writeFileSync(join(cniDir, directory, name), typeof text === 'string' ? text : JSON.stringify(text))
}
const read = async () => (await cachedAdds(cniDir, new Set([veth]), log)).get(veth)

test.each(['results', 'cache/results'])('an ADD is known by its host veth, from DIR/%s', async (directory) => {
  write(record, directory)
  expect(await read()).toMatchObject({
    network: 'fairlead',
    containerId,
    podInterface: 'eth0',
    netns: '/var/run/netns/cni-1',
    pod: { namespace: 'shop', name: 'web-0', uid: 'u1' },
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostAddress: undefined }],
    bandwidth: { ingress: { rateBits: 1_000_000, burstBits: 80_000 }, egress: undefined },
    result: { ips: [{ address: '10.244.1.5', prefix: 24 }] },
    chained: false,
  })
})

test('a record of a libcni before 1.2 says the namespace in its result; one of CRI-O has no host ports', async () => {
  const { netns: _, capabilityArgs: __, ...older } = record
  write(older)
  expect(await read()).toMatchObject({ netns: '/var/run/netns/cni-old', portMappings: [], bandwidth: undefined })
})

test('names with dashes are no riddle, and plugins after ours are seen', async () => {
  const config = { name: 'my-net', plugins: [{ type: 'fairlead-cni' }, { type: 'tuning' }] }
  const dashed = { ...record, containerId: 'a-b-c', ifName: 'net-1', networkName: 'my-net' }
  write({ ...dashed, config: Buffer.from(JSON.stringify(config)).toString('base64') }, 'results', 'my-net-a-b-c-net-1')
  const host = hostVethName('a-b-c', 'net-1')
  expect((await cachedAdds(cniDir, new Set([host]), log)).get(host)).toMatchObject({ network: 'my-net', chained: true })
})

test.each([
  ['half a record', '{"kind":"cniCa'],
  ['a bare result, as before cniCacheV1', record.result],
  ['a record of another container', { ...record, containerId: 'other' }],
  ['an address that is none', { ...record, result: { ...record.result, ips: [{ address: '10.244.1' }] } }],
])('%s tells nothing', async (_, text) => {
  write(text)
  expect(await read()).toBeUndefined()
})

test('what is of other veths is not read, and a directory that is not there holds nothing', async () => {
  expect(await read()).toBeUndefined()
  write('{', 'results', 'fairlead-other-eth0')
  expect(await read()).toBeUndefined()
  expect(said).toEqual([])
})
