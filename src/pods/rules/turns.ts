// One at a time, in the order of asking.

export class Turns {
  /** Settles when the last turn asked for so far has ended; never rejects. */
  #last: Promise<unknown> = Promise.resolve()

  /** Runs the work when all before it has ended. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
