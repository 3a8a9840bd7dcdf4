// When to look for damage, and how closely. Where every change of another program's is told of, a look at everything
// follows at once; without one, what we have written is looked at once, and then so rarely that it costs next to
// nothing; what is counted is read in between. Elsewhere the maps where packets are told apart are read every 1.5 s, in
// a few milliseconds; everything as often, unless reading it takes so long that it would cost more than a hundredth of
// a core.

/** Of denied packets; of where packets are told apart; at everything. */
export type Look = 'counts' | 'maps' | 'whole'

const shortestMs = 1500
const costShare = 100
const toldShare = 400
/** A program that changes rules all the time makes us look for a quarter of ours. */
const hurriedMs = 300
const hurriedShare = 3
/** The quickest of so many looks is what one costs: a busy machine makes any single one slow. */
const remembered = 8

export interface LookScheduleOptions {
  /** ms; so often something is read anyway, and everything where it is not told. */
  readonly longestMs: number
  /** Whether another program's changes are {@link LookSchedule.disturbed told of} now. */
  readonly told: () => boolean
  /** ms */
  readonly now: () => number
}

export class LookSchedule {
  readonly #longestMs: number
  readonly #told: () => boolean
  readonly #now: () => number
  #costs: readonly number[] = []
  #lastMaps: number
  #lastWhole: number
  /** Another program may have changed something since the last look at everything began. */
  #disturbed = false
  /** We have written chains since then: what they look like now is not known yet. */
  #fresh = true

  constructor({ longestMs, told, now }: LookScheduleOptions) {
    this.#longestMs = Math.max(longestMs, shortestMs)
    this.#told = told
    this.#now = now
    this.#lastMaps = this.#lastWhole = now()
  }

  get due(): number {
    return Math.min(this.#lastMaps + (this.#told() ? this.#longestMs : shortestMs), this.#wholeDue)
  }

  /** Another program has changed something, be it ours or not. */
  disturbed(): void {
    this.#disturbed = true
  }

  /** Chains have been written. */
  wrote(): void {
    this.#fresh = true
  }

  /** Runs what is due. */
  async run<T>(look: (which: Look) => Promise<T>): Promise<T> {
    const begin = this.#now()
    const which = begin >= this.#wholeDue ? 'whole' : this.#told() ? 'counts' : 'maps'
    const before = { disturbed: this.#disturbed, fresh: this.#fresh }
    if (which === 'whole') this.#disturbed = this.#fresh = false
    try {
      return await look(which)
    } catch (error) {
      this.#disturbed ||= before.disturbed
      this.#fresh ||= before.fresh
      throw error
    } finally {
      this.#lastMaps = this.#now()
      if (which === 'whole') {
        this.#costs = [...this.#costs, this.#lastMaps - begin].slice(-remembered)
        this.#lastWhole = this.#lastMaps
      }
    }
  }

  get #wholeDue(): number {
    return this.#lastWhole + this.#wholePeriod
  }

  get #wholePeriod(): number {
    if (this.#disturbed) return Math.min(this.#spaced(hurriedMs, hurriedShare), this.#longestMs)
    if (this.#told() && !this.#fresh) return this.#spaced(this.#longestMs, toldShare)
    return Math.min(this.#spaced(shortestMs, costShare), this.#longestMs)
  }

  /** ms from one look at everything to the next. */
  #spaced(atLeast: number, share: number): number {
    return Math.max(atLeast, this.#costs.length === 0 ? 0 : Math.min(...this.#costs) * share)
  }
}
