// The end of an API server outage. During an outage each reflector waits on its own; the first one that gets an answer
// after a full wait ends the waits of the others.
//
// A reflector whose wait was cut short this way does not announce its answer. Otherwise two reflectors that are
// answered and disconnected again and again would keep each other from ever waiting.
export class Recovery {
  #next = new AbortController()

  /** Fires at the next recovery. Read it before sending a request, so that a recovery meanwhile is not missed. */
  get next(): AbortSignal {
    return this.#next.signal
  }

  /** Announces that the server has answered a reflector after a full wait. */
  announce(): void {
    const now = this.#next
    this.#next = new AbortController()
    now.abort()
  }
}
