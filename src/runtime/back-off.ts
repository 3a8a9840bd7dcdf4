// Waits after failures, longer each time. The defaults are client-go's and keep the nodes of a cluster from
// overloading an API server that recovers.
import { type Clock, systemClock } from './clock.ts'

export interface BackOffOptions {
  readonly firstMs?: number
  readonly longestMs?: number
  /** ms without a failure after which the next failure counts as the first. 0: one success is enough. */
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

  /** Records a success. */
  succeeded(): void {
    this.#healthySince ??= this.#clock.now()
  }

  /**
   * Records a failure.
   * @returns ms to wait: a random share, from half to the whole, of a wait that doubles from the first to the longest
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
