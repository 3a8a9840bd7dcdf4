// The run loop of every room and controller: reconciles when triggered, audits in between, never both at a time.
//
// After a quiet time a trigger reconciles at once. Under a storm of changes the next reconcile starts no sooner than
// the last one took, so that writing takes at most half of the time and changes in between share one reconcile.
// (kube-proxy waits for a fixed second.)
import { BackOff } from './back-off.ts'
import type { Clock } from './clock.ts'

export interface LoopOptions {
  /** Brings the kernel or the cluster to the desired state. Called again after a failure, so it must be repeatable. */
  readonly reconcile: () => Promise<void>
  /** Returns the ms from the end of one reconcile to the start of the next one without a trigger. */
  readonly intervalMs?: () => number
  /** Looks for drift, and repairs it. */
  readonly audit?: () => Promise<void>
  /** Returns when the next audit is due, in ms on the clock; undefined while there is nothing to audit. */
  readonly auditDue?: () => number | undefined
  /** Receives what reconcile or audit threw. The loop then tries again after 0.1 s, doubling up to 5 s. */
  readonly onError: (error: unknown) => void
  readonly clock: Clock
}

/** ms; after a reconcile that took less, the next one may start at once. */
const cheapMs = 20
const longestRestMs = 1000
/** ms; a wake-up without a reason, in case the answers changed without {@link Loop.reschedule}. */
const longestSleepMs = 60_000

export class Loop {
  readonly #options: LoopOptions
  readonly #backOff: BackOff
  #triggered = false
  #wake = new AbortController()
  /** ms on the clock; nothing starts before. */
  #notBefore = 0
  /** ms on the clock; when the last reconcile ended, or the loop started. */
  #endedAt = 0

  constructor(options: LoopOptions) {
    this.#options = options
    this.#backOff = new BackOff({ firstMs: 100, longestMs: 5000, forgottenAfterMs: 0, clock: options.clock })
  }

  /** Requests a reconcile. Any number of calls during one reconcile cause one more. */
  trigger(): void {
    this.#triggered = true
    this.#wake.abort()
  }

  /** Asks {@link LoopOptions.auditDue} again, because its answer has changed. */
  reschedule(): void {
    this.#wake.abort()
  }

  /** Runs until the signal and lets a running reconcile finish. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, audit, auditDue, intervalMs } = this.#options
    this.#endedAt = clock.now()
    while (!signal.aborted) {
      const now = clock.now()
      const reconcileDue = intervalMs === undefined ? Number.POSITIVE_INFINITY : this.#endedAt + intervalMs()
      const checkDue = auditDue?.() ?? Number.POSITIVE_INFINITY
      if (now < this.#notBefore) await this.#sleepUntil(this.#notBefore, signal)
      else if (this.#triggered || reconcileDue <= now) await this.#reconcile()
      else if (audit !== undefined && checkDue <= now) await this.#audit(audit)
      else await this.#sleepUntil(Math.min(reconcileDue, checkDue, now + longestSleepMs), signal)
    }
  }

  async #reconcile(): Promise<void> {
    const { clock, reconcile, onError } = this.#options
    this.#triggered = false
    const begin = clock.now()
    try {
      await reconcile()
      this.#backOff.succeeded()
      const cost = clock.now() - begin
      this.#notBefore = cost < cheapMs ? 0 : clock.now() + Math.min(cost, longestRestMs)
    } catch (error) {
      onError(error)
      this.#retryLater()
    }
    this.#endedAt = clock.now()
  }

  async #audit(audit: () => Promise<void>): Promise<void> {
    try {
      await audit()
    } catch (error) {
      this.#options.onError(error)
      // The next reconcile finishes a repair that the audit has begun.
      this.#retryLater()
    }
  }

  #retryLater(): void {
    this.#triggered = true
    this.#notBefore = this.#options.clock.now() + this.#backOff.failed()
  }

  /** Also returns early, when woken. */
  async #sleepUntil(time: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    this.#wake = new AbortController()
    const wake = AbortSignal.any([signal, this.#wake.signal])
    await clock.sleep(Math.max(1, time - clock.now()), wake).catch(() => undefined)
  }
}
