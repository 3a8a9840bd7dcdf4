// Notices that somebody else has written iptables' rules, without reading any. The kernel tells nobody of it, and to
// read tens of thousands of rules takes seconds; but it has a number that changes with every write, or the tables'
// lengths, which `rules-stamp` asks for in half a millisecond.
import { join } from 'node:path'
import type { Logger } from 'pino'
import { CommandError } from './command-error.ts'
import type { IptablesBackend } from './kernel.ts'
import { builtPrograms } from './programs.ts'
import { runInShell } from './shell-command.ts'
import type { ShellWorkers } from './shell-workers.ts'

export interface ForeignWritesOptions {
  readonly workers: ShellWorkers
  readonly enter: readonly string[]
  readonly backend: () => Promise<IptablesBackend>
  readonly log: Logger
}

export class ForeignWrites {
  readonly #options: ForeignWritesOptions
  /** As of the last time that we looked or had written; undefined before. */
  #stamp: string | undefined
  #count = 0
  #writing = 0
  /** Whether each of the writes under way has done its work until now. */
  #written = true
  /** Settled when nothing is being written by us, and the stamp is known that our last write has left. */
  #settled: Promise<void> = Promise.resolve()
  #settle: () => void = () => undefined
  #untold = false

  constructor(options: ForeignWritesOptions) {
    this.#options = options
  }

  /**
   * How often others were seen to have written until now. Undefined where the kernel does not tell.
   * @throws {CommandError} where the backend is not known
   */
  async count(): Promise<number | undefined> {
    await this.#settled
    const stamp = await this.#read()
    this.#note(stamp)
    return stamp === undefined ? undefined : this.#count
  }

  /**
   * Carries out a write of ours, which is not counted. One of others that falls into its last millisecond is not seen
   * either.
   */
  async apartFrom<T>(write: () => Promise<T>): Promise<T> {
    // Nobody has asked yet: then nobody needs to know.
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

  /** Before the first of writes that overlap. */
  async #begin(): Promise<void> {
    const before = this.#settled
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#settled = promise
    this.#settle = resolve
    await before
    this.#note(await this.#read())
  }

  /**
   * After the last of them: who has written does not wait for it. Where one has failed, what changed may be another's,
   * also the write that ours failed by: it is counted.
   */
  async #end(): Promise<void> {
    const [settle, written] = [this.#settle, this.#written]
    this.#written = true
    // It fails where the kernel is being closed: then nobody asks any more.
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
      if (!this.#untold)
        log.info(
          `changes of iptables rules are looked for in the rules themselves, since ${error.command} said: ${error.stderr}`,
        )
      this.#untold = true
      return undefined
    }
  }
}
