// Time and randomness as parameters, so that a test controls both.
import { setTimeout as sleep } from 'node:timers/promises'

export interface Clock {
  /** Returns the ms since the epoch. */
  now(): number
  /**
   * Resolves after `ms` milliseconds.
   * @throws {Error} AbortError as soon as the signal fires
   */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** Returns a number from 0 (inclusive) to 1 (exclusive). */
  random(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  random: () => Math.random(),
}

/** A clock that only goes forward, from the start of the process: intervals survive a change of the system's time. */
export const steadyClock: Clock = { ...systemClock, now: () => performance.now() }
