// Chance that can be had again: a test prints the seed it runs with, and TEST_SEED runs it so.
import { randomInt } from 'node:crypto'

export class Random {
  readonly seed: number
  #state: number

  constructor(seed = Number(process.env['TEST_SEED'] ?? randomInt(2 ** 31))) {
    this.seed = seed
    this.#state = seed
  }

  /** From 0 up to, not including, the limit: mulberry32. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  chance(share: number): boolean {
    return this.below(1e6) < share * 1e6
  }

  /** From the first to the last, both included. */
  within(first: number, last: number): number {
    return first + this.below(last - first + 1)
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(256)
    return bytes
  }

  /** @param items at least one */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }
}
