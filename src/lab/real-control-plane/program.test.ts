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

async function refuse(): Promise<never> {
  throw new Error('not yet')
}

test('it is waited for until it answers, and its output is kept', async () => {
  await using program = shell('echo here; exec sleep 60')
  const ask = vi.fn<() => Promise<void>>().mockRejectedValueOnce(new Error('not yet')).mockResolvedValue()
  await program.untilReady(ask, 60_000)
  expect(ask).toHaveBeenCalledTimes(2)
  await vi.waitFor(() => expect(readFileSync(log, 'utf8')).toContain('here\n'), 20_000)
})

test('one that ends before is not waited for any longer', async () => {
  await using program = shell('exit 3')
  await expect(program.untilReady(refuse, 600_000)).rejects.toThrow(`server ended (exit code 3): see ${log}`)
})

test('one that never answers is told of with what it said last', async () => {
  await using program = shell('exec sleep 60')
  await expect(program.untilReady(refuse, 0)).rejects.toThrow(`server was not ready within 0 s (not yet): see ${log}`)
})

test('it ends with its scope, and one that is not there says so', async () => {
  const program = shell('exec sleep 60')
  await program[Symbol.asyncDispose]()
  expect((await program.ended).message).toContain('SIGTERM')
  await using absent = new Program({ name: 'server', file: join(folder, 'none'), args: [], log })
  expect((await absent.ended).message).toMatch(/^server does not start: .*ENOENT/)
})
