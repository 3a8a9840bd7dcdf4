// nftables: transactions, and what a table holds. nft speaks to the kernel once for each program start: all of a text
// is in force at once, or nothing of it.
import { CommandError } from './command-error.ts'
import { runProgram } from './run.ts'
import { runInShell, type ShellCommandOptions } from './shell-command.ts'
import type { ShellWorkers } from './shell-workers.ts'

/** Characters. A pod's ADD waits for small texts, so they go through a shell worker, which forks faster than we do. */
const shellLimit = 16_384
/** ms: thousands of sets take seconds. */
const timeout = 60_000
/** Characters of the line at fault: one may hold thousands of elements. */
const shownLimit = 200

/** One object of `nft -j list`: {"set": {...}}, {"chain": {...}}, {"rule": {...}}, ... */
export type NftObject = Readonly<Record<string, NftFields | undefined>>
export type NftFields = Readonly<Record<string, unknown>>

/** `nft -f -`: one transaction. @throws {CommandError} that quotes the line at fault. */
export async function applyNft(workers: ShellWorkers, text: string, enter: readonly string[]): Promise<void> {
  const words = ['nft', '-f', '-']
  try {
    if (text.length <= shellLimit) {
      await runInShell(workers, words, { enter, input: text, timeout })
      return
    }
    const [program = '', ...args] = [...enter, ...words]
    await runProgram(program, args, { input: text, timeout })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    throw new CommandError({
      kind: error.kind,
      command: error.command,
      stderr: withOffendingLine(error.stderr, text),
      cause: error,
    })
  }
}

/**
 * Objects as `nft -j list WHAT` prints them: "table inet x", "set inet x y", ...
 * @returns undefined where there is no such thing.
 * @throws {CommandError}
 */
export async function listNft(
  workers: ShellWorkers,
  what: string,
  options: ShellCommandOptions,
): Promise<readonly NftObject[] | undefined> {
  const { stdout } = await runInShell(workers, ['nft', '-j', 'list', ...what.split(' ')], {
    ...options,
    timeout,
    accept: ['missing'],
  })
  return stdout.trim() === '' ? undefined : (JSON.parse(stdout) as { nftables: NftObject[] }).nftables
}

/** nft marks the place below the line; here it stands in the sentence. */
function withOffendingLine(said: string, text: string): string {
  const [, number, why] = /^\S+?:(\d+):[\d-]+: Error: (.*)$/m.exec(said) ?? []
  const line = number === undefined ? undefined : text.split('\n')[Number(number) - 1]
  if (line === undefined) return said.split('\n')[0] ?? said
  return `${why} [line ${number}: ${line.length > shownLimit ? `${line.slice(0, shownLimit)}...` : line}]`
}
