// Who waits for whom: commands about one container, or one namespace, run one after the other, those about different
// ones side by side, GC alone.

/** What no two commands may be about at a time. A container id has no slash and no colon: none is taken for another. */
export function subjectsOf({
  containerId,
  netns,
  netnsId,
}: {
  readonly containerId: string | undefined
  readonly netns: string | undefined
  readonly netnsId: string | undefined
}): string[] {
  return [containerId, netns, netnsId].filter((subject) => subject !== undefined)
}

export class CommandQueue {
  /** Subject -> the end of the last command in line for it; gone when that has ended. */
  readonly #tails = new Map<string, Promise<unknown>>()
  /** The end of the last exclusive one in line: everything that comes after it waits for it. */
  #gate: Promise<unknown> = Promise.resolve()

  /** Runs the work when every earlier command about any of these {@link subjectsOf} has ended. */
  run<T>(subjects: readonly string[], work: () => Promise<T>): Promise<T> {
    const earlier = [this.#gate, ...subjects.flatMap((subject) => this.#tails.get(subject) ?? [])]
    const done = Promise.allSettled(earlier).then(work)
    const tail: Promise<void> = done.then(
      () => this.#leave(subjects, tail),
      () => this.#leave(subjects, tail),
    )
    for (const subject of subjects) this.#tails.set(subject, tail)
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

  /** With a command about any of these. */
  isBusy(subjects: readonly string[]): boolean {
    return subjects.some((subject) => this.#tails.has(subject))
  }

  #leave(subjects: readonly string[], tail: Promise<unknown>): void {
    for (const subject of subjects) if (this.#tails.get(subject) === tail) this.#tails.delete(subject)
  }
}
