// nftables of one network namespace: transactions, and what a table holds. nft speaks to the kernel once for each program
// start, so a text is in force all at once or not at all.
//
// Before it carries out a text, nft reads every table of the node, and an old nft crashes on what a newer one has
// written there (docs/adr/0030). So it runs with nft-view.so, which shows it one table only.
import { join } from 'node:path'
import { CommandError } from './command-error.ts'
import { ourNftTable } from './kernel.ts'
import type { NamespaceShell } from './namespace-shell.ts'
import { builtPrograms } from './programs.ts'
import { RulesetWatch } from './ruleset-watch.ts'
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

/**
 * Makes nft see only the tables of this name, in every family (cmd/nft-view).
 * @param name '' hides every table, so that nft leaves it to the kernel whether a table exists
 * @returns variables for nft
 */
export function nftView(name: string): Readonly<Record<string, string>> {
  return { FAIRLEAD_NFT_VIEW: name, LD_PRELOAD: join(builtPrograms, 'nft-view.so') }
}

/** Runs around a write of ours, and runs it. */
export type AroundWrite = (write: () => Promise<void>) => Promise<void>

/** The part of {@link Kernel} that is nftables. */
export class Nftables implements AsyncDisposable {
  readonly #shell: NamespaceShell
  readonly #around: AroundWrite[] = []
  #watch: RulesetWatch | undefined

  constructor(shell: NamespaceShell) {
    this.#shell = shell
  }

  around(wrap: AroundWrite): void {
    this.#around.push(wrap)
  }

  /** @throws {CommandError} that quotes the line at fault */
  async apply(text: string): Promise<void> {
    const { enter, quick, log, observe } = this.#shell
    const transact = this.#around.reduce<() => Promise<void>>(
      (inner, wrap) => async () => wrap(inner),
      async () => applyNft(quick, text, enter),
    )
    const begin = performance.now()
    let ok = false
    try {
      await (this.#watch?.ours(transact) ?? transact())
      ok = true
    } finally {
      observe?.command('nft', (performance.now() - begin) / 1000, ok)
    }
    log.debug({ input: text }, [...enter, 'nft -f -'].join(' '))
  }

  async list(what: string): Promise<readonly NftObject[] | undefined> {
    const { slow, enter, observe } = this.#shell
    return listNft(slow, what, { enter, observe })
  }

  onChange(listener: () => void): () => boolean {
    const { enter, log } = this.#shell
    const watch = new RulesetWatch({ enter, log, changed: listener })
    this.#watch = watch
    return () => watch.works
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch?.[Symbol.asyncDispose]()
  }
}

/** `nft -f -`: one transaction. */
async function applyNft(workers: ShellWorkers, text: string, enter: readonly string[]): Promise<void> {
  const words = ['nft', '-f', '-']
  const environment = nftView(ourNftTable)
  try {
    if (text.length <= shellLimit) {
      await runInShell(workers, words, { enter, environment, input: text, timeout })
      return
    }
    const [program = '', ...args] = [...enter, ...words]
    await runProgram(program, args, { environment, input: text, timeout })
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

/** Objects as `nft -j list WHAT` prints them; undefined where there is no such thing. */
async function listNft(
  workers: ShellWorkers,
  what: string,
  options: ShellCommandOptions,
): Promise<readonly NftObject[] | undefined> {
  const words = what.split(' ')
  const [, , table] = words
  const { stdout } = await runInShell(workers, ['nft', '-j', 'list', ...words], {
    ...options,
    ...(table !== undefined && { environment: nftView(table) }),
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
