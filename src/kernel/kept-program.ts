// A program that runs as long as we do and tells us something now and then: started again when it ends, later each
// time.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Logger } from 'pino'
import { killGroup, startChild, whenEnded } from './programs.ts'
import { deathOf } from './signal-death.ts'

const firstRetry = 1_000
const longestRetry = 30_000
/** ms: one that runs so long has found what it needs. */
const settledAfter = 1_000

export interface KeptProgramOptions {
  readonly words: readonly string[]
  readonly log: Logger
  /** The level of its first end; that it ends again soon after is logged at debug. */
  readonly level: 'warn' | 'debug'
  /** Given each line of its stdout; it must not throw. */
  readonly hear: (line: string) => void
  /** It runs again, and has missed what came meanwhile. */
  readonly restarted: () => void
}

export class KeptProgram implements AsyncDisposable {
  readonly #options: KeptProgramOptions
  #child: ChildProcess | undefined
  #startedAt = 0
  #reported = false
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: KeptProgramOptions) {
    this.#options = options
    this.#start(firstRetry)
  }

  /** Whether it runs, and has for a while. */
  get settled(): boolean {
    return this.#child !== undefined && Date.now() - this.#startedAt > settledAfter
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    const child = this.#child
    if (child === undefined) return
    const gone = once(child, 'close')
    killGroup(child)
    await gone
  }

  #start(retry: number): void {
    const { words, log, level, hear, restarted } = this.#options
    let said = ''
    let rest = ''
    this.#startedAt = Date.now()
    // It reads no stdin that could tell it of our end.
    const child = startChild('setpriv', ['--pdeathsig', 'KILL', ...words], ['ignore', 'pipe', 'pipe'])
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-500)
    })
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) hear(line)
    })
    whenEnded(child, (failedStart) => {
      this.#child = undefined
      if (this.#closed) return
      // One that had run for a while starts again soon; what it missed meanwhile is found by looking.
      const ranLong = Date.now() - this.#startedAt > longestRetry
      const wait = ranLong ? firstRetry : retry
      const reason = child.signalCode === null ? said.trim() : deathOf(child.signalCode, said)
      const message = `${words.join(' ')} ended and is started again: ${failedStart?.message ?? reason}`
      log[this.#reported && !ranLong ? 'debug' : level]({ waitMs: wait }, message)
      this.#reported = true
      this.#retry = setTimeout(() => {
        this.#start(Math.min(wait * 2, longestRetry))
        restarted()
      }, wait)
    })
  }
}
