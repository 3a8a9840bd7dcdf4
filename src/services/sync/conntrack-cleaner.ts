// Deletes stale UDP conntrack entries beside the syncs: each command walks the whole table (0.14 s with 50,000
// entries), and rules must not wait for that.
import type { Logger } from 'pino'
import { CommandError } from '../../kernel/command-error.ts'
import type { ConntrackFilter } from '../../kernel/conntrack.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import type { Family } from '../../net/address.ts'

interface Deletion {
  readonly family: Family
  readonly filter: ConntrackFilter
}

/** Told of each command that went through. It must not throw. */
interface CleaningObserver {
  conntrackCleaned(family: Family, seconds: number, entries: number): void
}

export class ConntrackCleaner {
  readonly #kernel: Pick<Kernel, 'deleteUdpConntrack'>
  readonly #log: Logger
  readonly #observe: CleaningObserver | undefined
  /** By their text: what is asked for again before its turn is done once. */
  readonly #waiting = new Map<string, Deletion>()
  #running: Promise<void> | undefined
  /** Why the last one failed: said once for as long as it is so. */
  #told: string | undefined

  constructor(parts: { kernel: Pick<Kernel, 'deleteUdpConntrack'>; log: Logger; observe?: CleaningObserver }) {
    this.#kernel = parts.kernel
    this.#log = parts.log
    this.#observe = parts.observe
  }

  /**
   * To be called when the rules that lead elsewhere are in force: before, the client's next packet would only renew its
   * entry.
   */
  forget(family: Family, filters: readonly ConntrackFilter[]): void {
    for (const filter of filters) this.#waiting.set(JSON.stringify([family, filter]), { family, filter })
    // Work that finds nothing ends before it could be noted as running, and would be noted for ever.
    if (this.#waiting.size > 0) this.#running ??= this.#work()
  }

  /** Settles when nothing is left to delete; never rejects. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #work(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const begin = performance.now()
      try {
        const entries = await this.#kernel.deleteUdpConntrack(next.family, next.filter)
        this.#observe?.conntrackCleaned(next.family, (performance.now() - begin) / 1000, entries)
        this.#told = undefined
      } catch (error) {
        const why = error instanceof CommandError ? error.stderr : String(error)
        this.#log[why === this.#told ? 'debug' : 'warn'](
          { err: error, ...next },
          `conntrack entries of a UDP endpoint that is gone could not be deleted (${why}): clients that keep their port may lose packets until they expire`,
        )
        this.#told = why
      }
    }
    this.#running = undefined
  }

  #next(): Deletion | undefined {
    const [first] = this.#waiting
    if (first === undefined) return undefined
    this.#waiting.delete(first[0])
    return first[1]
  }
}
