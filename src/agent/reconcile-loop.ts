// One pass at a time, over and over: at once when something happened, and every interval in case nobody said so.
import { setTimeout as sleep } from 'node:timers/promises'
import { BackOff } from '../cluster/back-off.ts'

export interface ReconcileLoopOptions {
  /** One full pass: derive what should be, look at what is, apply the difference. */
  readonly pass: () => Promise<void>
  /** Asked after every pass. */
  readonly intervalMs: () => number
  /** Told of a pass that threw; the loop goes on, after a pause that doubles from 0.1 s to 5 s while passes fail. */
  readonly onError: (error: unknown) => void
}

export class ReconcileLoop {
  readonly #options: ReconcileLoopOptions
  /** Set when something happened that the running pass may not have seen; cleared as a pass starts. */
  #due = true
  #wake: (() => void) | undefined

  constructor(options: ReconcileLoopOptions) {
    this.#options = options
  }

  /** Asks for a pass. Any number of calls while one runs cause one more. */
  trigger(): void {
    this.#due = true
    this.#wake?.()
  }

  /** Runs passes until the signal; the pass that runs then is finished first. */
  async run(signal: AbortSignal): Promise<void> {
    const backOff = new BackOff({ firstMs: 100, longestMs: 5000, forgottenAfterMs: 0 })
    while (!signal.aborted) {
      if (!this.#due) await this.#idle(signal)
      if (signal.aborted) return
      this.#due = false
      try {
        await this.#options.pass()
        backOff.succeeded()
      } catch (error) {
        this.#options.onError(error)
        this.#due = true
        await sleep(backOff.failed(), undefined, { signal }).catch(() => undefined)
      }
    }
  }

  #idle(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', wake)
        this.#wake = undefined
        resolve()
      }
      const timer = setTimeout(wake, this.#options.intervalMs())
      signal.addEventListener('abort', wake, { once: true })
      this.#wake = wake
    })
  }
}
