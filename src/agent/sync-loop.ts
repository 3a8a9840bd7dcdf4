// When to sync: at once after a quiet time; then no sooner than the last sync took, so that under a storm of changes at
// most half of the time goes into writing and what comes meanwhile shares the next pass. kube-proxy waits a fixed
// second. Between syncs it audits; nothing overlaps.
import { BackOff } from '../cluster/back-off.ts'
import type { Clock } from '../cluster/clock.ts'

export interface SyncLoopOptions {
  /** One pass. What it could not do it has not forgotten: it is called again. */
  readonly sync: () => Promise<void>
  readonly audit: () => Promise<void>
  /** ms on the clock; undefined while there is nothing to audit. */
  readonly auditDue: () => number | undefined
  readonly onError: (error: unknown) => void
  readonly clock: Clock
}

/** Below this a pass is so cheap that the next may follow at once. */
const cheapMs = 20
const longestFloorMs = 1000

export class SyncLoop {
  readonly #options: SyncLoopOptions
  readonly #backOff: BackOff
  #due = false
  #wake = new AbortController()
  /** No sync before this. */
  #notBefore = 0

  constructor(options: SyncLoopOptions) {
    this.#options = options
    this.#backOff = new BackOff({ firstMs: 100, longestMs: 5000, forgottenAfterMs: 0, clock: options.clock })
  }

  /** Asks for a sync. Any number of calls while one runs cause one more. */
  trigger(): void {
    this.#due = true
    this.#wake.abort()
  }

  /** The next audit is due at another time than it was. */
  reschedule(): void {
    this.#wake.abort()
  }

  /** Until the signal; what runs then is finished first. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, sync, audit, auditDue } = this.#options
    while (!signal.aborted) {
      const now = clock.now()
      if (this.#due && now >= this.#notBefore) await this.#attempt(sync)
      else if ((auditDue() ?? Number.POSITIVE_INFINITY) <= now && now >= this.#notBefore) await this.#tryAudit(audit)
      else await this.#pause(signal)
    }
  }

  async #attempt(sync: () => Promise<void>): Promise<void> {
    const { clock, onError } = this.#options
    this.#due = false
    const begin = clock.now()
    try {
      await sync()
      this.#backOff.succeeded()
      const cost = clock.now() - begin
      this.#notBefore = cost < cheapMs ? 0 : clock.now() + Math.min(cost, longestFloorMs)
    } catch (error) {
      onError(error)
      this.#due = true
      this.#retryLater()
    }
  }

  async #tryAudit(audit: () => Promise<void>): Promise<void> {
    try {
      await audit()
    } catch (error) {
      this.#options.onError(error)
      // What it had begun to mend is the next sync's to finish.
      this.#due = true
      this.#retryLater()
    }
  }

  #retryLater(): void {
    this.#notBefore = this.#options.clock.now() + this.#backOff.failed()
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, auditDue } = this.#options
    const now = clock.now()
    // A trigger need not wake us where the floor holds it back anyway, but it does no harm.
    this.#wake = new AbortController()
    const next = this.#due ? this.#notBefore : Math.max(this.#notBefore, auditDue() ?? now + 60_000)
    await clock.sleep(Math.max(1, next - now), AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined)
  }
}
