// One at a time, and those that wait together go together.

export class Turns {
  /** Settles when the last turn taken so far has ended; never rejects. */
  #last: Promise<unknown> = Promise.resolve()
  /** The shared turn that has not begun yet. */
  #gathering: Promise<void> | undefined

  /** Runs the work when all before it has ended. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** As {@link take}, but all that ask before the turn begins share the first one's work, and its failure. */
  async share(work: () => Promise<void>): Promise<void> {
    this.#gathering ??= this.take(async () => {
      this.#gathering = undefined
      await work()
    })
    return this.#gathering
  }
}
