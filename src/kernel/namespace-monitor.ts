// The kernel's news of other namespaces: `ip monitor all-nsid` hears of links, addresses and routes in each namespace
// that ours has an id for, and every veth gives its peer's namespace one. It costs nothing while nothing changes.
// It wants CAP_NET_BROADCAST; without it the program ends, and is tried again now and then.
import type { Logger } from 'pino'
import { KeptProgram } from './kept-program.ts'

export class NamespaceMonitor implements AsyncDisposable {
  readonly #program: KeptProgram

  /**
   * @param changed called with the namespace's id for each line; with undefined where news of any may have been missed.
   * It must not throw.
   */
  constructor({
    enter,
    log,
    changed,
  }: {
    enter: readonly string[]
    log: Logger
    changed: (namespace: number | undefined) => void
  }) {
    this.#program = new KeptProgram({
      words: [...enter, 'ip', 'monitor', 'all-nsid', 'label', 'link', 'address', 'route'],
      log,
      level: 'debug',
      hear: (line) => {
        const namespace = namespaceOf(line)
        if (namespace !== undefined) changed(namespace)
      },
      restarted: () => changed(undefined),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]()
  }
}

/** @returns undefined for news of our own namespace, and for the further lines of a message. */
export function namespaceOf(line: string): number | undefined {
  const id = /^\[nsid (\d+)\]/.exec(line)?.[1]
  return id === undefined ? undefined : Number(id)
}
