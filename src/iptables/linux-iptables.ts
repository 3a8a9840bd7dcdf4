// The Iptables that drives the real programs, in one network namespace and on one backend.
import type { Logger } from 'pino'
import { CommandError, type FailureKind } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { NamespaceShell } from '../kernel/namespace-shell.ts'
import { runProgram, streamProgram } from '../kernel/run.ts'
import { runInShell, type ShellCommandOptions } from '../kernel/shell-command.ts'
import type { Family } from '../net/address.ts'
import { chooseBackend, isInOtherBackend } from './backend.ts'
import { ForeignWrites } from './foreign-writes.ts'
import { checkOf, restoreText } from './restore-text.ts'
import { backendProgram, type Iptables, type IptablesBackend, type IptablesTable, type TableRule } from './iptables.ts'

// A restore of 10,000 Services in one piece takes minutes on nft: a slow restore is not a hanging one.
const restoreTimeout = 600_000

/**
 * Characters. A pod's ADD waits for the line of its host port, so small text goes through a shell worker, which forks
 * faster than we do; large text would only be copied once more.
 */
const shellLimit = 16_384

/** Failures of a check that say nothing of the rules. */
const noAnswer: readonly FailureKind[] = ['not-installed', 'timeout', 'killed']

/**
 * Opens iptables in the kernel's namespace. It starts nothing until it is used, and ends with the kernel.
 * @param options.backend the backend that the namespace already uses where not given
 */
export function openIptables(kernel: Kernel, options: { log: Logger; backend?: IptablesBackend }): Iptables {
  return new LinuxIptables(kernel, options)
}

class LinuxIptables implements Iptables {
  readonly #shell: NamespaceShell
  readonly #log: Logger
  readonly #foreignWrites: ForeignWrites
  #backend: Promise<IptablesBackend> | undefined

  constructor(kernel: Kernel, { log, backend }: { log: Logger; backend?: IptablesBackend }) {
    this.#shell = kernel.shell
    this.#log = log
    const { quick, enter } = kernel.shell
    this.#foreignWrites = new ForeignWrites({ workers: quick, enter, backend: async () => this.backend(), log })
    // nftables counts the transactions of all programs that write rules.
    kernel.aroundNft(async (write) => this.#foreignWrites.apartFrom(write))
    if (backend !== undefined) this.#backend = Promise.resolve(backend)
  }

  async backend(): Promise<IptablesBackend> {
    this.#backend ??= chooseBackend(this.#shell.slow, this.#inside).catch((error: unknown) => {
      this.#backend = undefined
      throw error
    })
    return this.#backend
  }

  /** @throws {CommandError} that quotes the line at fault */
  async restore(family: Family, text: string): Promise<void> {
    const backend = await this.backend()
    const words = [`${backendProgram(family, backend)}-restore`, '--noflush', '-w', '5']
    await this.#observed(`iptables-${backend}-restore`, async () =>
      this.#foreignWrites.apartFrom(async () => this.#runRestore(words, text)),
    )
    this.#log.debug({ input: text }, [...this.#shell.enter, ...words].join(' '))
  }

  /** `-S` never resolves names, so it needs no `-n`. */
  async rulesOf(
    family: Family,
    table: IptablesTable,
    chain: string,
    { counters = false } = {},
  ): Promise<readonly string[] | undefined> {
    if (!/^[\w-]{1,28}$/.test(chain))
      throw new TypeError(
        `Expected a chain name of 1 to 28 letters, digits, dashes or underscores, got \`${chain.slice(0, 40)}\``,
      )
    const program = backendProgram(family, await this.backend())
    const { stdout } = await runInShell(
      this.#shell.slow,
      [program, '-w', '5', '-t', table, ...(counters ? ['-v'] : []), '-S', chain],
      { ...this.#inside, accept: ['missing'] },
    )
    return stdout === '' ? undefined : stdout.trimEnd().split('\n')
  }

  /** Line by line: with 10,000 Services a table is 20 MB of text, which nobody needs to hold at once. */
  async readTable(family: Family, table: IptablesTable, seen: (line: string) => void): Promise<void> {
    const { enter, observe } = this.#shell
    const backend = await this.backend()
    const begin = performance.now()
    await streamProgram([...enter, `${backendProgram(family, backend)}-save`, '-t', table], (line) => {
      if (line.startsWith(':') || line.startsWith('-A ')) seen(line)
    })
    observe?.command(`iptables-${backend}-save`, (performance.now() - begin) / 1000, true)
  }

  /**
   * A restore whose every line is a check (-C) reads only those chains, commits nothing, and fails at the first rule
   * that is missing. It takes 4 ms of CPU, less than half of a program per chain. (`--test` is no help: iptables-nft
   * 1.8.9 then skips the checks too.)
   */
  async hasRules(family: Family, rules: readonly TableRule[]): Promise<boolean> {
    const backend = await this.backend()
    const tables = Map.groupBy(rules, ({ table }) => table)
    const input = restoreText(
      [...tables].map(([table, held]) => ({ table, declare: [], lines: held.map(({ rule }) => checkOf(rule)) })),
    )
    try {
      await runInShell(this.#shell.slow, [`${backendProgram(family, backend)}-restore`, '--noflush', '-w', '5'], {
        ...this.#inside,
        input,
      })
      return true
    } catch (error) {
      if (error instanceof CommandError && !noAnswer.includes(error.kind)) return false
      throw error
    }
  }

  async foreignWrites(): Promise<number | undefined> {
    return this.#foreignWrites.count()
  }

  async isInOtherBackend(family: Family, table: IptablesTable, chain: string): Promise<boolean> {
    return isInOtherBackend(this.#shell.slow, await this.backend(), { family, table, chain }, this.#inside)
  }

  async #runRestore(words: readonly string[], text: string): Promise<void> {
    const { quick, enter } = this.#shell
    try {
      if (text.length <= shellLimit) {
        await runInShell(quick, words, { enter, input: text, timeout: restoreTimeout })
        return
      }
      const [program = '', ...args] = [...enter, ...words]
      await runProgram(program, args, { input: text, timeout: restoreTimeout })
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

  async #observed(command: string, write: () => Promise<void>): Promise<void> {
    const begin = performance.now()
    let ok = false
    try {
      await write()
      ok = true
    } finally {
      this.#shell.observe?.command(command, (performance.now() - begin) / 1000, ok)
    }
  }

  get #inside(): ShellCommandOptions {
    const { enter, observe } = this.#shell
    return { enter, observe }
  }
}

/** iptables names only the number of the line. Where that line is COMMIT, it says nothing more precise. */
function withOffendingLine(said: string, text: string): string {
  const number = /line:? (\d+)/.exec(said)?.[1]
  const line = number === undefined ? undefined : text.split('\n')[Number(number) - 1]
  const first = said
    .split('\n')
    .filter((each) => each !== '' && !each.startsWith('Try `'))
    .join('; ')
  return line === undefined || line === '' ? first : `${first} [line ${number}: ${line}]`
}
