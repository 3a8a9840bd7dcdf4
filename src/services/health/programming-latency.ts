// How long it took from a change in the cluster (a pod ready, a Service made) until packets followed it: kube-proxy's
// network_programming_duration. The EndpointSlice says when the change was, in an annotation; several may wait for one
// sync, and each is counted, in the family of its slice.
import type { Family } from '../../net/address.ts'

export class ProgrammingLatency {
  readonly #now: () => number
  /** The times (ms since the epoch) that wait for a sync. */
  #waiting = new Map<Family, number[]>()
  /** What every slice said last: the annotation stays when the slice changes for another reason. */
  readonly #seen = new Map<string, number>()
  /** A change from before we ran was not ours to program. */
  readonly #startedAt: number

  constructor(now: () => number = Date.now) {
    this.#now = now
    this.#startedAt = now()
  }

  /** @param slice its key. @param changedAt ms since the epoch; undefined where the slice does not say. */
  sliceChanged(slice: string, family: Family, changedAt: number | undefined): void {
    if (changedAt === undefined || this.#seen.get(slice) === changedAt) return
    this.#seen.set(slice, changedAt)
    if (changedAt < this.#startedAt) return
    const times = this.#waiting.get(family) ?? []
    times.push(changedAt)
    this.#waiting.set(family, times)
  }

  sliceGone(slice: string): void {
    this.#seen.delete(slice)
  }

  /**
   * What a sync takes with it: to be called as it begins, and to be given to {@link programmed} when it went through,
   * or to {@link failed}.
   */
  take(): ReadonlyMap<Family, readonly number[]> {
    const taken = this.#waiting
    this.#waiting = new Map()
    return taken
  }

  /** Seconds for each change that is in force now. */
  programmed(taken: ReadonlyMap<Family, readonly number[]>): readonly { family: Family; seconds: number }[] {
    const now = this.#now()
    return [...taken].flatMap(([family, times]) =>
      times.map((changedAt) => ({ family, seconds: Math.max(0, now - changedAt) / 1000 })),
    )
  }

  failed(taken: ReadonlyMap<Family, readonly number[]>): void {
    for (const [family, times] of taken) this.#waiting.set(family, [...times, ...(this.#waiting.get(family) ?? [])])
  }
}
