// The pause between a reflector's failure and its next attempt. It logs the failure and backs off; the pause ends early
// when another reflector gets an answer.
import type { Logger } from 'pino'
import { ApiError } from './api-error.ts'
import { BackOff } from '../runtime/back-off.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Recovery } from './recovery.ts'

export interface RetriesParts {
  /** The path that is read, for messages: "/api/v1/nodes". */
  readonly path: string
  readonly recovery: Recovery
  readonly clock: Clock
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>
}

/** Cap for Retry-After. */
const maxRetryAfterMs = 300_000

export class Retries {
  readonly #parts: RetriesParts
  readonly #backOff: BackOff
  /** Fires when the API server has answered another reflector since our attempt began. */
  #recovered: AbortSignal
  /** The last wait was not cut short, and no answer has followed it yet. */
  #waitedInFull = false
  #lastError: string | undefined

  constructor(parts: RetriesParts) {
    this.#parts = parts
    this.#backOff = new BackOff({ clock: parts.clock })
    this.#recovered = parts.recovery.next
  }

  /** The last failure, until {@link succeeded} is called. */
  get lastError(): string | undefined {
    return this.#lastError
  }

  /** Begins an attempt. */
  begin(): void {
    this.#recovered = this.#parts.recovery.next
  }

  /** Records that the server has sent the response, or its beginning. */
  answered(): void {
    if (!this.#waitedInFull) return
    this.#waitedInFull = false
    this.#parts.recovery.announce()
    this.begin()
  }

  /** Records that a watch is open. */
  succeeded(): void {
    const { path, log } = this.#parts
    this.#backOff.succeeded()
    if (this.#lastError !== undefined) log.info({ resource: path }, 'watch restored')
    this.#lastError = undefined
  }

  /** Logs the error and waits until the next attempt is due, another reflector is answered, or the signal fires. */
  async wait(error: unknown, signal: AbortSignal): Promise<void> {
    const { path, clock, log } = this.#parts
    const message = error instanceof Error ? error.message : String(error)
    const retryAfterMs = error instanceof ApiError ? Math.min((error.retryAfter ?? 0) * 1000, maxRetryAfterMs) : 0
    const pauseMs = Math.max(retryAfterMs, this.#backOff.failed())
    const sentence = `Reading ${path} failed, trying again: ${message}`
    if (message === this.#lastError) log.debug({ resource: path, pauseMs }, sentence)
    else log.warn({ resource: path, pauseMs }, sentence)
    this.#lastError = message
    // A server that sends Retry-After must not be asked earlier.
    const early = retryAfterMs > 0 ? signal : AbortSignal.any([signal, this.#recovered])
    this.#waitedInFull = false
    try {
      await clock.sleep(pauseMs, early)
      this.#waitedInFull = true
    } catch (error_) {
      if (!early.aborted) throw error_
    }
  }
}
