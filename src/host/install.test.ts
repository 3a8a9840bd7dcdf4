import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { install } from './install.ts'

function host() {
  const root = mkdtempSync(join(tmpdir(), 'fairlead-install-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const source = join(root, 'built')
  writeFileSync(source, 'version 1')
  const bin = join(root, 'opt/cni/bin')
  const run = async () =>
    (await install({ source, cniBinDir: bin, cniConfDir: join(root, 'etc/cni/net.d') })).map(({ state }) => state)
  return { root, source, bin, run }
}

test('an empty host gets directories, binary and loopback; a second time nothing is touched', async () => {
  const { bin, run } = host()
  expect(await run()).toEqual(['installed', 'installed', 'installed', 'installed'])
  expect(readdirSync(bin)).toEqual(['fairlead-cni', 'loopback'])
  expect([readFileSync(join(bin, 'loopback'), 'utf8'), statSync(join(bin, 'loopback')).mode & 0o7777]).toEqual([
    'version 1',
    0o755,
  ])
  const { ino } = statSync(join(bin, 'fairlead-cni'))
  expect(await run()).toEqual(['unchanged', 'unchanged', 'unchanged', 'unchanged'])
  expect(statSync(join(bin, 'fairlead-cni')).ino).toBe(ino)
})

test('an upgrade replaces the binary by renaming, and loopback is the new one with it', async () => {
  const { source, bin, run } = host()
  await run()
  const { ino } = statSync(join(bin, 'fairlead-cni'))
  writeFileSync(source, 'version 2')
  expect(await run()).toEqual(['unchanged', 'unchanged', 'installed', 'unchanged'])
  expect(statSync(join(bin, 'fairlead-cni')).ino).not.toBe(ino)
  expect(readFileSync(join(bin, 'loopback'), 'utf8')).toBe('version 2')
})

test.each<[string, (path: string) => void]>([
  ['half of it', (path) => writeFileSync(path, 'vers')],
  ['no right to execute it', (path) => chmodSync(path, 0o644)],
])('what is there with %s is put right', async (_, damage) => {
  const { bin, run } = host()
  await run()
  damage(join(bin, 'fairlead-cni'))
  expect(await run()).toEqual(['unchanged', 'unchanged', 'installed', 'unchanged'])
  expect([readFileSync(join(bin, 'fairlead-cni'), 'utf8'), statSync(join(bin, 'fairlead-cni')).mode & 0o7777]).toEqual([
    'version 1',
    0o755,
  ])
})

test("another's loopback stays", async () => {
  const { bin, run } = host()
  mkdirSync(bin, { recursive: true })
  writeFileSync(join(bin, 'loopback'), 'reference plugin')
  expect((await run()).at(-1)).toBe('kept')
  expect([lstatSync(join(bin, 'loopback')).isFile(), readFileSync(join(bin, 'loopback'), 'utf8')]).toEqual([
    true,
    'reference plugin',
  ])
})

test('what cannot be installed leaves no half of it', async () => {
  const { bin, run } = host()
  mkdirSync(join(bin, 'fairlead-cni'), { recursive: true })
  await expect(run()).rejects.toThrow('fairlead-cni')
  expect(readdirSync(bin)).toEqual(['fairlead-cni'])
})
