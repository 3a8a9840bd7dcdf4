/** Runs one piece of work at a time, in the order of the calls. */
export class Mutex {
  /** Settles when all work so far has ended; never rejects. */
  #last: Promise<unknown> = Promise.resolve()

  /** Runs the work when all before it has ended, also where that has failed. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }
}
