// A lock that ends with its holder, however it ends.
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { classifyFailure } from './classify-failure.ts'
import { CommandError } from './command-error.ts'
import { safePath } from './link-changes.ts'
import { startChild, whenEnded } from './programs.ts'

/** What flock exits with when another has the lock (its default, 1, is also that of other failures). */
const takenStatus = 99

/**
 * Holds the file at the path with flock(2) until disposed. A child has it, which ends when our end of its stdin closes:
 * kill -9 of us frees the lock too. A second of patience is for the child of a holder that was killed just now.
 * @throws {CommandError} of kind `conflict` when someone else holds it.
 */
export async function holdLock(path: string): Promise<AsyncDisposable> {
  await mkdir(dirname(safePath(path)), { recursive: true })
  const args = ['--timeout', '1', '--no-fork', '--conflict-exit-code', String(takenStatus), path, 'cat']
  const child = startChild('flock', args, ['pipe', 'pipe', 'pipe'])
  const ended = Promise.withResolvers<Error | undefined>()
  whenEnded(child, ended.resolve)
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdin?.on('error', () => {})
  // cat runs, so the lock is ours, when it gives back what it was given.
  child.stdin?.write('held\n')
  const held = await Promise.race([
    once(child.stdout ?? child, 'data').then(() => true),
    ended.promise.then(() => false),
  ])
  if (!held) {
    const taken = child.exitCode === takenStatus
    const failedStart = await ended.promise
    const stderr = taken
      ? 'another process holds it'
      : said.trim() || (failedStart?.message ?? `exit status ${child.exitCode}`)
    throw new CommandError({ kind: taken ? 'conflict' : classifyFailure(stderr), command: `flock ${path}`, stderr })
  }
  // Forgotten, it ends with us instead of keeping us.
  child.stdout?.destroy()
  child.stderr?.destroy()
  ;(child.stdin as Socket | null)?.unref()
  child.unref()
  return {
    [Symbol.asyncDispose]: async () => {
      child.ref()
      child.stdin?.end()
      await ended.promise
    },
  }
}
