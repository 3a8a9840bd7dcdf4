import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { competingConfigs, conflist, conflistName, installConflist, setAside } from './conflist.ts'
import { cniVersions } from './cni-version.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fairlead-conflist-'))
})
afterEach(() => rm(dir, { recursive: true }))

test('the file in cni-config/ is what the agent installs', async () => {
  expect(conflist()).toBe(await readFile(join(import.meta.dirname, '../../../cni-config', conflistName), 'utf8'))
})

test('it asks for versions we speak, and for 1.0.0 of runtimes that know no list of them', () => {
  const { cniVersion, cniVersions: more } = JSON.parse(conflist()) as { cniVersion: string; cniVersions: string[] }
  expect(cniVersion).toBe('1.0.0')
  expect(cniVersions).toEqual(expect.arrayContaining(more))
})

test('it is written once and left alone while its bytes are the same', async () => {
  const deeper = join(dir, 'etc/cni/net.d')
  expect(await installConflist(deeper, conflist())).toBe('written')
  const before = await stat(join(deeper, conflistName))
  expect(await installConflist(deeper, conflist())).toBe('unchanged')
  expect((await stat(join(deeper, conflistName))).ino).toBe(before.ino)
  await writeFile(join(deeper, conflistName), '{}')
  expect(await installConflist(deeper, conflist())).toBe('written')
  expect(await readdir(deeper)).toEqual([conflistName])
  expect(await readFile(join(deeper, conflistName), 'utf8')).toBe(conflist())
})

test('a competitor is a configuration that the runtime would take before ours', async () => {
  expect(await competingConfigs(join(dir, 'nowhere'))).toEqual([])
  for (const name of [
    '10-flannel.conflist',
    '00-multus.conf',
    '01-old.json',
    '02-notes.txt',
    '03-x.conflist.tmp',
    conflistName,
  ])
    await writeFile(join(dir, name), '{}')
  await mkdir(join(dir, '04-a-directory.conf'))
  expect(await competingConfigs(dir)).toEqual(['00-multus.conf', '01-old.json'])
})

test('one that is set aside is no competitor any more, and none that was set aside before is lost', async () => {
  for (const text of ['first', 'second', 'third']) {
    await writeFile(join(dir, '00-old.conf'), text)
    await setAside(dir, '00-old.conf')
  }
  expect(await competingConfigs(dir)).toEqual([])
  const names = (await readdir(dir)).toSorted()
  expect(names).toEqual([
    '00-old.conf.2.set-aside-by-fairlead',
    '00-old.conf.3.set-aside-by-fairlead',
    '00-old.conf.set-aside-by-fairlead',
  ])
  expect(await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')))).toEqual([
    'second',
    'third',
    'first',
  ])
  expect(await setAside(dir, '00-old.conf')).toBeUndefined()
})
