// An external program of the control plane: starts, monitors and stops it.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ProgramSettings {
  /** The name for messages: "etcd". */
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
  /** The file that receives the program's output. */
  readonly log: string
}

const pollMs = 100
/** ms between SIGTERM and SIGKILL. */
const graceMs = 5000

export class Program implements AsyncDisposable {
  /** Resolves when the program has ended, with an error to throw: "etcd ended (exit code 1): see LOG". */
  readonly ended: Promise<Error>
  readonly #settings: ProgramSettings
  readonly #kill: (signal: NodeJS.Signals) => void

  constructor(settings: ProgramSettings) {
    const { name, file, args, log } = settings
    this.#settings = settings
    const { promise, resolve } = Promise.withResolvers<Error>()
    const output = openSync(log, 'a', 0o644)
    const child = spawn(file, args, { cwd: '/', stdio: ['ignore', output, output] })
    closeSync(output)
    child.on('error', ({ message }) => resolve(new Error(`${name} does not start: ${message}`)))
    child.on('exit', (code, signal) =>
      resolve(new Error(`${name} ended (${signal ?? `exit code ${code}`}): see ${log}`)),
    )
    this.ended = promise
    this.#kill = (signal) => void child.kill(signal)
  }

  /**
   * Waits until a probe succeeds.
   * @param probe rejects as long as the program is not ready.
   * @throws {Error} when the program ends first, or is not ready in time.
   */
  async untilReady(probe: () => Promise<unknown>, withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs
    for (;;) {
      try {
        return void (await probe())
      } catch (error) {
        if (Date.now() > deadline) {
          const reason = error instanceof Error ? error.message : String(error)
          throw new Error(
            `${this.#settings.name} was not ready within ${withinMs / 1000} s (${reason}): see ${this.#settings.log}`,
            { cause: error },
          )
        }
      }
      const ended = await Promise.race([this.ended, sleep(pollMs)])
      if (ended !== undefined) throw ended
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill('SIGTERM')
    const killer = setTimeout(() => this.#kill('SIGKILL'), graceMs)
    await this.ended
    clearTimeout(killer)
  }
}
