// An outage of the API server makes its reflectors wait, each for a time of its own. The first of them that is answered
// again ends the waits of the others.
//
// One whose wait was ended so tells nobody of its answer: else two that are answered and broken off again and again
// would keep each other from ever waiting.
export class Recovery {
  #next = new AbortController()

  /** Fires at the next recovery: take it before you ask the server, so that none is missed while you do. */
  get next(): AbortSignal {
    return this.#next.signal
  }

  /** The server has answered somebody who had waited to the end. */
  announce(): void {
    const now = this.#next
    this.#next = new AbortController()
    now.abort()
  }
}
