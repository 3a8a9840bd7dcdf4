// How long to wait after a failure, longer each time. Where nothing else is said, so that a struggling API server is
// not trampled by all its nodes at once (the numbers are client-go's).
import { type Clock, systemClock } from './clock.ts'

export interface BackOffOptions {
  readonly firstMs?: number
  readonly longestMs?: number
  /** So long without a failure, and the next one counts as the first. 0: one success is enough. */
  readonly forgottenAfterMs?: number
  readonly clock?: Clock
}

export class BackOff {
  readonly #firstMs: number
  readonly #longestMs: number
  readonly #forgottenAfterMs: number
  readonly #clock: Clock
  #failures = 0
  /** Set from the first success after a failure until the next failure. */
  #healthySince: number | undefined

  constructor({
    firstMs = 800,
    longestMs = 30_000,
    forgottenAfterMs = 120_000,
    clock = systemClock,
  }: BackOffOptions = {}) {
    this.#firstMs = firstMs
    this.#longestMs = longestMs
    this.#forgottenAfterMs = forgottenAfterMs
    this.#clock = clock
  }

  /** Health begins, or goes on. */
  succeeded(): void {
    this.#healthySince ??= this.#clock.now()
  }

  /**
   * @returns ms to wait after one more failure: between half and the whole of the first wait, twice as much, ... the
   * longest.
   */
  failed(): number {
    if (this.#healthySince !== undefined && this.#clock.now() - this.#healthySince >= this.#forgottenAfterMs)
      this.#failures = 0
    this.#healthySince = undefined
    const ceiling = Math.min(this.#longestMs, this.#firstMs * 2 ** this.#failures)
    this.#failures += 1
    return ceiling * (1 - this.#clock.random() / 2)
  }
}
