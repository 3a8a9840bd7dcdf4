import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { hostVethName, parseInterfaceName } from '../net/interface-name.ts'
import { macOf } from '../net/mac.ts'
import type { PodAttachment } from './attachment-codec.ts'
import { AttachmentStore } from './attachment-store.ts'
import { loadResting, saveResting } from './resting-store.ts'

const full: PodAttachment = {
  network: 'fairlead',
  containerId: 'c'.repeat(300),
  podInterface: parseInterfaceName('eth0'),
  hostInterface: hostVethName('c', 'eth0'),
  netns: '/var/run/netns/cni-1',
  netnsId: '4:4026532300',
  addresses: [parseAddress('10.244.1.5'), parseAddress('fd00:1::5')],
  podMac: macOf('pod', parseAddress('10.244.1.5')),
  mtu: 1450,
  pod: { namespace: 'default', name: 'web', uid: undefined },
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostAddress: undefined }],
  bandwidth: { ingress: { rateBits: 1e6, burstBits: 2 ** 32 }, egress: undefined },
  createdAt: 1,
  podCidrs: [parseCidr('10.244.1.0/24'), parseCidr('fd00:1::/64')],
  routed: false,
}
const bare: PodAttachment = {
  ...full,
  containerId: 'd',
  netnsId: undefined,
  pod: undefined,
  portMappings: [],
  bandwidth: undefined,
}

const rebuilt: PodAttachment = { ...bare, network: undefined, containerId: undefined }

let directory = ''
const said: string[] = []
const log = pino({ base: null }, { write: (line) => said.push(line) })
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fairlead-store-'))
  said.length = 0
})
afterEach(() => rmSync(directory, { recursive: true }))

test('attachments come back as they were, absent parts as undefined', () => {
  const store = new AttachmentStore(directory, log)
  store.load()
  store.save({ ...bare, mtu: 1 })
  store.save(bare)
  store.save(full)
  expect(store.load().toSorted((a, b) => String(a.containerId).localeCompare(String(b.containerId)))).toStrictEqual([
    full,
    bare,
  ])
  store.delete(full)
  store.delete(full)
  expect(store.load()).toStrictEqual([bare])
})

test('an attachment that learns its container leaves no second file', () => {
  const store = new AttachmentStore(directory, log)
  store.save(rebuilt)
  expect(store.load()).toStrictEqual([rebuilt])
  store.save(bare)
  store.deleteFormer(rebuilt, bare)
  store.deleteFormer(bare, { ...bare, mtu: 1 })
  expect(store.load()).toStrictEqual([bare])
})

test.each([
  ['cut off', '{"network":"fair'],
  ['an address that is none', '{"addresses":["10.244.1"]}'],
  ['a name with a line break, which would be a second command', undefined],
])('a file with %s is reported in one sentence and set aside', (_, text) => {
  const store = new AttachmentStore(directory, log)
  store.load()
  store.save(full)
  const [name] = readdirSync(directory)
  const path = join(directory, name!)
  const damaged = text ?? readFileSync(path, 'utf8').replace('"eth0"', String.raw`"eth0\nlink del eth0"`)
  writeFileSync(path, damaged)
  store.save(bare)
  expect(store.load()).toStrictEqual([bare])
  expect(readdirSync(directory)).toContain(`${name}.unreadable`)
  expect(said).toHaveLength(1)
  expect(said[0]).toContain('rebuilt where its pod runs')
})

test('half a write is never read, and is cleared away', () => {
  const store = new AttachmentStore(directory, log)
  writeFileSync(join(directory, 'abc.json.tmp'), '{"netw')
  expect(store.load()).toEqual([])
  expect(readdirSync(directory)).toEqual([])
  expect(said).toEqual([])
})

test('resting addresses survive; damage to them is said and costs nothing else', () => {
  const path = join(directory, 'resting.json')
  expect(loadResting(path, log)).toBeUndefined()
  expect(said).toEqual([])
  saveResting(path, [{ address: parseAddress('10.244.1.5'), since: 7 }])
  expect(loadResting(path, log)).toEqual([{ address: '10.244.1.5', since: 7 }])
  writeFileSync(path, '[{"address":"nonsense","since":7}]')
  expect(loadResting(path, log)).toBeUndefined()
  expect(said).toHaveLength(1)
})
