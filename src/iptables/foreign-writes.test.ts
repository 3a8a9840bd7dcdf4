import pino from 'pino'
import { expect, test } from 'vitest'
import type { ShellWorkers } from '../kernel/shell-workers.ts'
import { ForeignWrites } from './foreign-writes.ts'

/** The kernel's number counts every write, whoever has made it. */
function watched(): { writes: ForeignWrites; write: () => void } {
  let stamp = 0
  const workers: Pick<ShellWorkers, 'run'> = {
    run: async () => ({ stdout: `nft ${stamp}`, stderr: '', status: 0, timedOut: false }),
  }
  const writes = new ForeignWrites({
    workers: workers as ShellWorkers,
    enter: [],
    backend: async () => 'nft',
    log: pino({ level: 'silent' }),
  })
  return { writes, write: () => void (stamp += 1) }
}

test('a write of ours is not counted, and one of others is', async () => {
  const { writes, write } = watched()
  const before = Number(await writes.count())
  await writes.apartFrom(async () => write())
  expect(await writes.count()).toBe(before)
  write()
  expect(await writes.count()).toBe(before + 1)
})

test('what another writes while a write of ours fails is counted, and the next of ours is not', async () => {
  const { writes, write } = watched()
  const before = Number(await writes.count())
  const failing = writes.apartFrom(async () => {
    write()
    throw new Error('refused')
  })
  await expect(failing).rejects.toThrow('refused')
  expect(await writes.count()).toBe(before + 1)
  await writes.apartFrom(async () => write())
  expect(await writes.count()).toBe(before + 1)
})

test('a write of ours that fails while nobody else writes is not counted', async () => {
  const { writes } = watched()
  const before = await writes.count()
  await expect(writes.apartFrom(async () => Promise.reject(new Error('refused')))).rejects.toThrow('refused')
  expect(await writes.count()).toBe(before)
})
