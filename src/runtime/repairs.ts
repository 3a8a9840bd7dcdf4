// Counts repaired drift per room, for `fairlead status`. A number that grows on a quiet node means that another program
// changes the same objects.

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

  /**
   * Adds repairs of a room.
   * @param what one repaired object or command each, in order, a few words long
   * @param at ms since the epoch
   */
  note(room: string, what: readonly string[], at = Date.now()): void {
    const last = what.at(-1)
    if (last === undefined) return
    this.#rooms.set(room, { room, count: (this.#rooms.get(room)?.count ?? 0) + what.length, lastAt: at, last })
  }

  get all(): readonly Repaired[] {
    return [...this.#rooms.values()]
  }
}
