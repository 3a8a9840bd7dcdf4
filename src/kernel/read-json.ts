// How every `ip -j` and `bridge -j` answer is read.
import * as z from 'zod'
import { CommandError } from './command-error.ts'
import { runInShell, type ShellCommandOptions } from './shell-command.ts'
import type { ShellWorkers } from './shell-workers.ts'

/** Where the commands run. */
export interface Reader {
  readonly workers: ShellWorkers
  readonly options: ShellCommandOptions
}

/**
 * Runs the command until the kernel has given it a consistent dump, and parses what it printed; nothing means an empty list.
 * @throws {CommandError} also where the output is not of the shape.
 */
export async function readList<T>(reader: Reader, words: readonly string[], shape: z.ZodType<T>): Promise<T[]> {
  let { stdout, stderr } = await runInShell(reader.workers, words, reader.options)
  // The list changed while the kernel was writing it. On a node where it always does, the fourth answer has to do.
  for (let again = 0; again < 3 && stderr.includes('Dump was interrupted'); again++) ({ stdout, stderr } = await runInShell(reader.workers, words, reader.options))
  return parseList(words.join(' '), stdout, shape)
}

/** What the command printed; nothing means an empty list. @throws {CommandError} where the output is not of the shape. */
export function parseList<T>(command: string, stdout: string, shape: z.ZodType<T>): T[] {
  if (stdout.trim() === '') return []
  try {
    return z.array(shape).parse(JSON.parse(stdout))
  } catch (error) {
    throw new CommandError({ kind: 'other', command, stderr: `unexpected output: ${error instanceof Error ? error.message : String(error)}`, cause: error })
  }
}
