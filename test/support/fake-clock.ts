// Clocks for unit tests.
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../src/runtime/clock.ts'

/** A clock whose sleeps return at once, move its time forward and are recorded. */
export class FakeClock implements Clock {
  readonly sleeps: number[] = []
  time = 0

  now(): number {
    return this.time
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    this.sleeps.push(ms)
    this.time += ms
    await setImmediate(undefined, { signal })
  }

  random(): number {
    return 0.5
  }
}

/** A clock whose sleepers wake only when the test calls {@link wakeAll}. */
export class StoppedClock implements Clock {
  readonly #sleepers: (() => void)[] = []

  now(): number {
    return 0
  }

  async sleep(_ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#sleepers.push(resolve)
      if (signal.aborted) reject(signal.reason as Error)
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
  }

  /** Ends every sleep that is in progress. */
  wakeAll(): void {
    for (const wake of this.#sleepers.splice(0)) wake()
  }

  random(): number {
    return 0.5
  }
}
