import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { Program } from './program.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-program-'))
const log = join(folder, 'log')
afterAll(() => rmSync(folder, { recursive: true }))

function shell(script: string): Program {
  return new Program({ name: 'server', file: '/bin/sh', args: ['-c', script], log })
}

async function notReady(): Promise<never> {
  throw new Error('not yet')
}

test('waits until the program is ready, and keeps its output', async () => {
  await using program = shell('echo here; exec sleep 60')
  const probe = vi.fn<() => Promise<void>>().mockRejectedValueOnce(new Error('not yet')).mockResolvedValue()
  await program.untilReady(probe, 60_000)
  expect(probe).toHaveBeenCalledTimes(2)
  await vi.waitFor(() => expect(readFileSync(log, 'utf8')).toContain('here\n'), 20_000)
})

test('stops waiting when the program ends', async () => {
  await using program = shell('exit 3')
  await expect(program.untilReady(notReady, 600_000)).rejects.toThrow(`server ended (exit code 3): see ${log}`)
})

test('reports the last error of a program that does not become ready', async () => {
  await using program = shell('exec sleep 60')
  await expect(program.untilReady(notReady, 0)).rejects.toThrow(`server was not ready within 0 s (not yet): see ${log}`)
})

test('stops the program with its scope, and reports one that does not exist', async () => {
  const program = shell('exec sleep 60')
  await program[Symbol.asyncDispose]()
  expect((await program.ended).message).toContain('SIGTERM')
  await using absent = new Program({ name: 'server', file: join(folder, 'none'), args: [], log })
  expect((await absent.ended).message).toMatch(/^server does not start: .*ENOENT/)
})
