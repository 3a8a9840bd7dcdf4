// A clock for tests: sleeping takes no time and is remembered.
import { setImmediate } from 'node:timers/promises'
import type { Clock } from './clock.ts'

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
