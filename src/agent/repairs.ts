// What was not as we had left it and has been put right, for `fairlead status`: a number that grows on a quiet node is
// another program at work.

export interface Repaired {
  readonly room: string
  /** Since this agent started. */
  readonly count: number
  /** ms since the epoch. */
  readonly lastAt: number
  /** "ip route replace ...", "nat KUBE-SERVICES" */
  readonly last: string
}

export class Repairs {
  readonly #rooms = new Map<string, Repaired>()

  /** @param what a few words each, in order */
  note(room: string, what: readonly string[], at = Date.now()): void {
    const last = what.at(-1)
    if (last === undefined) return
    this.#rooms.set(room, { room, count: (this.#rooms.get(room)?.count ?? 0) + what.length, lastAt: at, last })
  }

  get all(): readonly Repaired[] {
    return [...this.#rooms.values()]
  }
}
