// How long to wait after a failure, so that a struggling API server is not trampled by all its nodes at once (the numbers are client-go's).
import { type Clock, systemClock } from './clock.ts'

const firstMs = 800
const longestMs = 30_000
/** So long without a failure, and the next one counts as the first. */
const forgottenAfterMs = 120_000

export class BackOff {
  readonly #clock: Clock
  #failures = 0
  /** Set from the first success after a failure until the next failure. */
  #healthySince: number | undefined

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  succeeded(): void {
    this.#healthySince ??= this.#clock.now()
  }

  /** @returns ms to wait after one more failure: between half and the whole of 0.8 s, 1.6 s, ... 30 s. */
  failed(): number {
    if (this.#healthySince !== undefined && this.#clock.now() - this.#healthySince >= forgottenAfterMs) this.#failures = 0
    this.#healthySince = undefined
    const ceiling = Math.min(longestMs, firstMs * 2 ** this.#failures)
    this.#failures += 1
    return ceiling * (1 - this.#clock.random() / 2)
  }
}
