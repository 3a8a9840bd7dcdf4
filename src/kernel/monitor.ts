// The kernel's own news, as a trigger to look again. `ip -j monitor` prints text whatever it is told, and much changes
// without a word, so nobody reads more from it than that something has happened.
import type { Logger } from 'pino'
import { KeptProgram } from './kept-program.ts'

const monitors: readonly (readonly string[])[] = [
  ['ip', 'monitor', 'label', 'link', 'address', 'route', 'neigh'],
  ['bridge', 'monitor', 'fdb'],
]

/** ms between the first event and the call, and so at least between two calls. */
const quiet = 100

export class Monitor implements AsyncDisposable {
  readonly #changed: () => void
  readonly #programs: readonly KeptProgram[]
  #pending: NodeJS.Timeout | undefined

  /** @param changed called at most once per 100 ms; it must not throw. */
  constructor({ enter, log, changed }: { enter: readonly string[]; log: Logger; changed: () => void }) {
    this.#changed = changed
    this.#programs = monitors.map(
      (words) =>
        new KeptProgram({
          words: [...enter, ...words],
          log,
          level: 'warn',
          hear: (line) => this.#hear(line),
          restarted: () => this.#fireSoon(),
        }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#pending)
    await Promise.all(this.#programs.map(async (program) => program[Symbol.asyncDispose]()))
  }

  #hear(line: string): void {
    // A call is coming anyway: thousands of lines cost nothing.
    if (this.#pending === undefined && isNews(line)) this.#fireSoon()
  }

  #fireSoon(): void {
    this.#pending ??= setTimeout(() => {
      this.#pending = undefined
      this.#changed()
    }, quiet)
  }
}

/** All but what a busy node says all day: ARP at work, and a bridge that learns where its own pods are. */
export function isNews(line: string): boolean {
  // One that is deleted by hand is told of as FAILED too, like one that ARP gave up. As it was, only what nobody has
  // used for a while is deleted, by the kernel.
  if (line.startsWith('[NEIGH]Deleted')) return !/ (STALE|NOARP)\s*$/.test(line)
  if (line.startsWith('[NEIGH]')) return !/ (REACHABLE|STALE|DELAY|PROBE|FAILED|INCOMPLETE)\s*$/.test(line)
  return line !== '' && (!/ master \S+/.test(line) || line.startsWith('[') || line.includes('permanent'))
}
