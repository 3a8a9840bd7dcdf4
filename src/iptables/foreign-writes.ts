// Notices that another program has written iptables rules, without reading any. The kernel sends no event, and reading
// tens of thousands of rules takes seconds. But nftables counts its transactions, and legacy knows how long its tables
// are: `rules-stamp` reads either in half a millisecond.
import { join } from 'node:path'
import type { Logger } from 'pino'
import { CommandError } from '../kernel/command-error.ts'
import { builtPrograms } from '../kernel/programs.ts'
import { runInShell } from '../kernel/shell-command.ts'
import type { ShellWorkers } from '../kernel/shell-workers.ts'
import type { IptablesBackend } from './iptables.ts'

export interface ForeignWritesOptions {
  readonly workers: ShellWorkers
  readonly enter: readonly string[]
  readonly backend: () => Promise<IptablesBackend>
  readonly log: Logger
}

export class ForeignWrites {
  readonly #options: ForeignWritesOptions
  /** As of the last read or the last write of ours; undefined before the first. */
  #stamp: string | undefined
  #count = 0
  #writing = 0
  /** Whether every write of ours under way has succeeded so far. */
  #written = true
  /** Settles when no write of ours is under way and the stamp that the last one left is known. */
  #settled: Promise<void> = Promise.resolve()
  #settle: () => void = () => undefined
  #logged = false

  constructor(options: ForeignWritesOptions) {
    this.#options = options
  }

  /**
   * Counts the writes by other programs so far.
   * @returns undefined where the kernel does not count
   * @throws {CommandError} where the backend is not known
   */
  async count(): Promise<number | undefined> {
    await this.#settled
    const stamp = await this.#read()
    this.#note(stamp)
    return stamp === undefined ? undefined : this.#count
  }

  /**
   * Runs a write of ours, which is not counted. A write by another program in its last millisecond is not counted
   * either.
   */
  async apartFrom<T>(write: () => Promise<T>): Promise<T> {
    // Before the first count there is nothing to compare with.
    if (this.#stamp === undefined) return write()
    this.#writing += 1
    try {
      if (this.#writing === 1) await this.#begin()
      return await write()
    } catch (error) {
      this.#written = false
      throw error
    } finally {
      this.#writing -= 1
      if (this.#writing === 0) void this.#end()
    }
  }

  /** Runs before the first of several writes that overlap. */
  async #begin(): Promise<void> {
    const before = this.#settled
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#settled = promise
    this.#settle = resolve
    await before
    this.#note(await this.#read())
  }

  /**
   * Runs after the last of them; no caller waits for it. Where one has failed, a change may be another program's (and
   * why ours failed), so it is counted.
   */
  async #end(): Promise<void> {
    const [settle, written] = [this.#settle, this.#written]
    this.#written = true
    // Fails while the kernel is being closed, when nobody counts any more.
    const stamp = await this.#read().catch(() => undefined)
    if (!written) this.#note(stamp)
    else if (stamp !== undefined) this.#stamp = stamp
    settle()
  }

  #note(stamp: string | undefined): void {
    if (stamp === undefined || stamp === this.#stamp) return
    this.#stamp = stamp
    this.#count += 1
  }

  async #read(): Promise<string | undefined> {
    const { workers, enter, backend, log } = this.#options
    try {
      return (await runInShell(workers, [join(builtPrograms, 'rules-stamp'), await backend()], { enter })).stdout
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      if (!this.#logged)
        log.info(
          { command: error.command, stderr: error.stderr },
          'cannot ask the kernel whether rules were written; reading the rules instead',
        )
      this.#logged = true
      return undefined
    }
  }
}
