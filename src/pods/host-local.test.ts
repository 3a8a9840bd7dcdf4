import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { hostLocalAddresses } from './host-local.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fairlead-host-local-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

function file(path: string, text: string): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), text)
}

test('every address with a pod that lives, or of which nobody knows', async () => {
  file('networks/cbr0/lock', '')
  file('networks/cbr0/last_reserved_ip.0', '10.244.1.4')
  file('networks/cbr0/10.244.1.2', 'lives\r\neth0')
  file('networks/cbr0/10.244.1.3', 'gone\r\neth0')
  file('networks/cbr0/10.244.1.4', 'unrecorded\r\neth0')
  file('networks/cbr0/10.244.1.5', '')
  file('networks/other/fd00::7', 'damaged\r\neth0')
  file('results/cbr0-lives-eth0', JSON.stringify({ kind: 'cniCacheV1', netns: dir }))
  file('results/cbr0-gone-eth0', JSON.stringify({ kind: 'cniCacheV1', netns: join(dir, 'no-such-namespace') }))
  file('results/other-damaged-eth0', '{')
  expect((await hostLocalAddresses(dir)).toSorted()).toEqual(['10.244.1.2', '10.244.1.4', '10.244.1.5', 'fd00::7'])
})

test('nothing where the plugin was never used', async () => {
  expect(await hostLocalAddresses(join(dir, 'nowhere'))).toEqual([])
})
