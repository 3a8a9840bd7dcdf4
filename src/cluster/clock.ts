// Time and chance as the room uses them, so that a test can own both.
import { setTimeout as sleep } from 'node:timers/promises'

export interface Clock {
  /** ms since the epoch. */
  now(): number
  /** Resolves after so many ms. @throws {Error} AbortError as soon as the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** From 0 up to, not including, 1. */
  random(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  random: () => Math.random(),
}
