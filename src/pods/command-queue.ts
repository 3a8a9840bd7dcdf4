// Who waits for whom: commands about one container run one after the other, those about different ones side by side, GC alone.

export class CommandQueue {
  /** Container id -> the end of the last command in line for it; gone when that has ended. */
  readonly #tails = new Map<string, Promise<unknown>>()
  /** The end of the last exclusive one in line: everything that comes after it waits for it. */
  #gate: Promise<unknown> = Promise.resolve()

  /** Runs the work when every earlier command about any of these containers has ended. */
  run<T>(containerIds: readonly string[], work: () => Promise<T>): Promise<T> {
    const earlier = [this.#gate, ...containerIds.flatMap((id) => this.#tails.get(id) ?? [])]
    const done = Promise.allSettled(earlier).then(work)
    const tail: Promise<void> = done.then(
      () => this.#leave(containerIds, tail),
      () => this.#leave(containerIds, tail),
    )
    for (const id of containerIds) this.#tails.set(id, tail)
    return done
  }

  /** Runs the work when nothing else runs; nothing starts before it ends. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = Promise.allSettled([this.#gate, ...this.#tails.values()]).then(work)
    this.#gate = done.then(
      () => undefined,
      () => undefined,
    )
    return done
  }

  isBusy(containerId: string): boolean {
    return this.#tails.has(containerId)
  }

  #leave(containerIds: readonly string[], tail: Promise<unknown>): void {
    for (const id of containerIds) if (this.#tails.get(id) === tail) this.#tails.delete(id)
  }
}
