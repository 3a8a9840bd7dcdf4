import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { callPlugin, CniPluginError } from './cni-plugin.ts'

const directory = mkdtempSync(join(tmpdir(), 'ft-cni-'))
afterEach(() => rmSync(join(directory, 'plugin'), { force: true }))
afterAll(() => rmSync(directory, { recursive: true }))

/** Installs a plugin that is this shell script. */
function script(text: string): void {
  writeFileSync(join(directory, 'plugin'), `#!/bin/sh\n${text}\n`)
  chmodSync(join(directory, 'plugin'), 0o755)
}

const container = { id: 'abc', netns: '/var/run/netns/x', interface: 'eth0', args: 'IgnoreUnknown=1' }

test('passes the request in environment and stdin, and parses the response', async () => {
  script(
    [
      'printf \'{"env":"%s %s %s %s %s %s","stdin":%s}\'',
      '"$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$CNI_PATH" "$(cat)"',
    ].join(' '),
  )
  expect(await callPlugin({ command: 'ADD', type: 'plugin', stdin: { name: 'n' }, container }, directory)).toEqual({
    env: `ADD abc /var/run/netns/x eth0 IgnoreUnknown=1 ${directory}`,
    stdin: { name: 'n' },
  })
})

test('accepts a plugin that prints nothing', async () => {
  script('cat >/dev/null')
  expect(await callPlugin({ command: 'DEL', type: 'plugin', stdin: {}, container }, directory)).toBeUndefined()
})

test.each([
  [
    'echo \'{"code":11,"msg":"not now","details":"busy"}\'; exit 1',
    11,
    'CNI ADD by plugin failed with code 11: not now; busy',
  ],
  ['echo broken >&2; exit 1', 999, 'CNI ADD by plugin failed with code 999: broken'],
])('throws the message of a plugin that fails: %s', async (text, code, message) => {
  script(`cat >/dev/null; ${text}`)
  const call = callPlugin({ command: 'ADD', type: 'plugin', stdin: {}, container }, directory)
  await expect(call).rejects.toThrow(message)
  await expect(call).rejects.toSatisfy((error) => error instanceof CniPluginError && error.code === code)
})

test('names a plugin that is not installed', async () => {
  await expect(callPlugin({ command: 'STATUS', type: 'plugin', stdin: {} }, directory)).rejects.toThrow(
    /plugin.*ENOENT/,
  )
})
