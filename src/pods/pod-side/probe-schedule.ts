// When to look into which pod's namespace. Pure: the caller gives the time.
//
// News from the kernel makes a pod due almost at once; without any, each is due now and then, so that all looks
// together stay below a thousandth of a core. A pod that keeps being changed is looked at later each time: whoever
// changes it is not fought for ever, and costs little.

/** ms from the first news to the look: what a program changes in several steps is seen whole. */
const settleMs = 200
/** A look may cost a thousandth of the time until the next one of its kind. */
const restPerCost = 1000
const shortestPeriodMs = 60_000
/** The fastest of so many looks is what one costs: a busy machine slows single ones. */
const rememberedCosts = 8
/** ms until the next look at a pod that has been repaired; doubled with each repair. */
const firstPauseMs = 1000
const longestPauseMs = 300_000
/** ms without a repair after which the next one counts as the first. */
const forgottenAfterMs = 600_000
/** ms; at least so long is left to a pod whose drift stays. */
const leftPauseMs = 60_000
/** ms from one pod to the next when all are due, as at the start. */
const sweepMs = 50

interface Turn {
  due: number
  /** No look before, whatever the news. */
  notBefore: number
  repairs: number
  repairedAt: number
}

export class ProbeSchedule {
  readonly #turns = new Map<string, Turn>()
  readonly #random: () => number
  #costs: number[] = []

  /** @param random from 0 to 1 */
  constructor(random: () => number) {
    this.#random = random
  }

  /** Keeps the schedule to these pods: new ones are looked at one after the other, soon. */
  keep(names: ReadonlySet<string>, now: number): void {
    for (const name of this.#turns.keys()) if (!names.has(name)) this.#turns.delete(name)
    let next = now + settleMs
    for (const name of names) {
      if (this.#turns.has(name)) continue
      this.#turns.set(name, { due: (next += sweepMs), notBefore: 0, repairs: 0, repairedAt: -Infinity })
    }
  }

  /** There is news of the pod. */
  changed(name: string, now: number): void {
    const turn = this.#turns.get(name)
    if (turn !== undefined) turn.due = Math.min(turn.due, Math.max(now + settleMs, turn.notBefore))
  }

  /** News of any pod may have been missed. */
  allChanged(now: number): void {
    let next = now + settleMs
    for (const turn of this.#turns.values()) turn.due = Math.min(turn.due, Math.max((next += sweepMs), turn.notBefore))
  }

  /** The pod that is due first. */
  get next(): { readonly name: string; readonly due: number } | undefined {
    let first: { name: string; due: number } | undefined
    for (const [name, { due }] of this.#turns) if (first === undefined || due < first.due) first = { name, due }
    return first
  }

  /** A look was not possible now, and is due a little later. */
  postpone(name: string, now: number): void {
    const turn = this.#turns.get(name)
    if (turn !== undefined) turn.due = now + firstPauseMs
  }

  /**
   * A look has ended.
   * @param costMs how long it took
   * @param outcome whether nothing had changed, something was put back, or something stays as it is
   */
  probed(name: string, now: number, costMs: number, outcome: 'same' | 'repaired' | 'left'): void {
    this.#costs = [...this.#costs, costMs].slice(-rememberedCosts)
    const turn = this.#turns.get(name)
    if (turn === undefined) return
    if (outcome === 'repaired') {
      turn.repairs = now - turn.repairedAt > forgottenAfterMs ? 1 : turn.repairs + 1
      turn.repairedAt = now
      turn.notBefore = now + Math.min(firstPauseMs * 2 ** (turn.repairs - 1), longestPauseMs)
    }
    if (outcome === 'left') turn.notBefore = now + leftPauseMs
    // A share by chance, so that pods that were due together are not so again.
    turn.due = Math.max(now + this.#periodMs * (0.75 + this.#random() / 2), turn.notBefore)
  }

  get #periodMs(): number {
    return Math.max(shortestPeriodMs, Math.min(...this.#costs) * restPerCost * this.#turns.size)
  }
}
