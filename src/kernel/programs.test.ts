import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'ft-programs-'))

beforeAll(() => vi.stubEnv('PATH', `${directory}:${process.env['PATH']}`))
afterAll(() => {
  vi.unstubAllEnvs()
  vi.resetModules()
  rmSync(directory, { recursive: true })
})

test.each(['run to its end', 'read line by line'])(
  'a program that was there and has gone is told of as a shell does: %s',
  async (how) => {
    vi.resetModules()
    const { runProgram, streamProgram } = await import('./run.ts')
    const program = join(directory, 'iptables-nft-save')
    const use = async (): Promise<unknown> =>
      how === 'run to its end'
        ? runProgram('iptables-nft-save', ['-t', 'nat'])
        : streamProgram(['iptables-nft-save', '-t', 'nat'], () => undefined)
    writeFileSync(program, '#!/bin/sh\n')
    chmodSync(program, 0o755)
    await use()
    rmSync(program)
    await expect(use()).rejects.toMatchObject({ kind: 'not-installed', message: 'iptables-nft-save: not found' })
  },
)
