// How every `ip -j` and `bridge -j` answer is read.
import * as z from 'zod'
import { CommandError } from './command-error.ts'
import { runInShell, type ShellCommandOptions } from './shell-command.ts'
import type { ShellWorkers } from './shell-workers.ts'

/** Where the commands run. */
export interface Reader {
  readonly workers: ShellWorkers
  readonly options: ShellCommandOptions
  /**
   * Large answers, as they were last given: one that comes again word for word is not read again. Nothing is kept where
   * not given.
   */
  readonly answers?: Answers
}

/** By command: what it printed, and the list that was made of it. */
export type Answers = Map<string, { readonly stdout: string; readonly list: readonly unknown[] }>

/** Characters; a hundred peers' entries. */
const large = 16_384

/**
 * Runs the command until the kernel has given it a consistent dump, and reads what it printed, item by item; nothing
 * means an empty list.
 * @throws {CommandError} also where the output is not of the shape.
 */
export async function readList<Raw, T>(
  reader: Reader,
  words: readonly string[],
  shape: z.ZodType<Raw>,
  read: (raw: Raw) => T,
): Promise<readonly T[]> {
  let { stdout, stderr } = await runInShell(reader.workers, words, reader.options)
  // The list changed while the kernel was writing it. On a node where it always does, the fourth answer has to do.
  for (let again = 0; again < 3 && stderr.includes('Dump was interrupted'); again++)
    ({ stdout, stderr } = await runInShell(reader.workers, words, reader.options))
  const command = words.join(' ')
  const last = reader.answers?.get(command)
  if (last?.stdout === stdout) return last.list as readonly T[]
  const list = parseList(command, stdout, shape).map(read)
  if (stdout.length >= large) reader.answers?.set(command, { stdout, list })
  return list
}

/**
 * What the command printed; nothing means an empty list.
 * @throws {CommandError} where the output is not of the shape.
 */
export function parseList<T>(command: string, stdout: string, shape: z.ZodType<T>): T[] {
  if (stdout.trim() === '') return []
  try {
    return z.array(shape).parse(JSON.parse(stdout))
  } catch (error) {
    throw new CommandError({
      kind: 'other',
      command,
      stderr: `unexpected output: ${error instanceof Error ? error.message : String(error)}`,
      cause: error,
    })
  }
}
