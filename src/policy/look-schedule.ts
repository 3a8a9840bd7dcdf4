// When to look for damage, and how closely. Where packets are told apart is read every 1.5 s, in a few milliseconds; everything as often, unless reading it takes so long
// that it would cost more than a hundredth of a core.

export type Look = 'maps' | 'whole'

const shortestMs = 1500
const costShare = 100
/** The quickest of so many looks is what one costs: a busy machine makes any single one slow. */
const remembered = 8

export class LookSchedule {
  readonly #longestMs: number
  readonly #now: () => number
  #costs: readonly number[] = []
  #lastMaps: number
  #lastWhole: number

  /** @param longestMs everything is read so often anyway @param now ms */
  constructor(longestMs: number, now: () => number) {
    this.#longestMs = Math.max(longestMs, shortestMs)
    this.#now = now
    this.#lastMaps = this.#lastWhole = now()
  }

  get due(): number {
    return Math.min(this.#lastMaps + shortestMs, this.#wholeDue)
  }

  /** ms from one look at everything to the next. */
  get period(): number {
    const affordable = this.#costs.length === 0 ? 0 : Math.min(...this.#costs) * costShare
    return Math.min(Math.max(shortestMs, affordable), this.#longestMs)
  }

  /** Runs what is due. */
  async run<T>(look: (which: Look) => Promise<T>): Promise<T> {
    const begin = this.#now()
    const which = begin >= this.#wholeDue ? 'whole' : 'maps'
    try {
      return await look(which)
    } finally {
      this.#lastMaps = this.#now()
      if (which === 'whole') {
        this.#costs = [...this.#costs, this.#lastMaps - begin].slice(-remembered)
        this.#lastWhole = this.#lastMaps
      }
    }
  }

  get #wholeDue(): number {
    return this.#lastWhole + this.period
  }
}
