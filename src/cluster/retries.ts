// What lies between a reflector's failure and its next attempt: it is told of, and waited out, longer each time; but no
// longer than until another one is answered again.
import type { Logger } from 'pino'
import { ApiError } from './api-error.ts'
import { BackOff } from '../runtime/back-off.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Recovery } from './recovery.ts'

export interface RetriesParts {
  /** What is read, for sentences: "/api/v1/nodes". */
  readonly path: string
  readonly recovery: Recovery
  readonly clock: Clock
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>
}

/** Retry-After is honoured up to here. */
const longestPatienceMs = 300_000

export class Retries {
  readonly #parts: RetriesParts
  readonly #backOff: BackOff
  /** Fires when the API server has answered another since our attempt began. */
  #recovered: AbortSignal
  /** Whether the last wait ran to its end, and nobody has been answered by it yet. */
  #waited = false
  #lastError: string | undefined

  constructor(parts: RetriesParts) {
    this.#parts = parts
    this.#backOff = new BackOff({ clock: parts.clock })
    this.#recovered = parts.recovery.next
  }

  /** The last failure, until an attempt {@link succeeded}. */
  get lastError(): string | undefined {
    return this.#lastError
  }

  begin(): void {
    this.#recovered = this.#parts.recovery.next
  }

  /** The server has sent what was asked for, or the beginning of it. */
  answered(): void {
    if (!this.#waited) return
    this.#waited = false
    this.#parts.recovery.announce()
    this.begin()
  }

  succeeded(): void {
    const { path, log } = this.#parts
    this.#backOff.succeeded()
    if (this.#lastError !== undefined) log.info({ resource: path }, `Watching ${path} again`)
    this.#lastError = undefined
  }

  /** Until the next attempt is due, or the signal. */
  async wait(error: unknown, signal: AbortSignal): Promise<void> {
    const { path, clock, log } = this.#parts
    const message = error instanceof Error ? error.message : String(error)
    const asked = error instanceof ApiError ? Math.min((error.retryAfter ?? 0) * 1000, longestPatienceMs) : 0
    const pauseMs = Math.max(asked, this.#backOff.failed())
    const sentence = `Reading ${path} failed, trying again: ${message}`
    if (message === this.#lastError) log.debug({ resource: path, pauseMs }, sentence)
    else log.warn({ resource: path, pauseMs }, sentence)
    this.#lastError = message
    // A server that names a time means it.
    const early = asked > 0 ? signal : AbortSignal.any([signal, this.#recovered])
    this.#waited = false
    try {
      await clock.sleep(pauseMs, early)
      this.#waited = true
    } catch (error_) {
      if (!early.aborted) throw error_
    }
  }
}
