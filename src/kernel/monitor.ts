// The kernel's own news, as a trigger to look again. `ip -j monitor` prints text whatever it is told, and much changes without a word, so nobody reads more
// from it than that something has happened.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Logger } from 'pino'
import { killGroup, startChild, whenEnded } from './programs.ts'

const monitors: readonly (readonly string[])[] = [
  ['ip', 'monitor', 'label', 'link', 'address', 'route', 'neigh'],
  ['bridge', 'monitor', 'fdb'],
]

/** ms between the first event and the call, and so at least between two calls. */
const quiet = 100
const firstRetry = 1_000
const longestRetry = 30_000

export class Monitor implements AsyncDisposable {
  readonly #enter: readonly string[]
  readonly #log: Logger
  readonly #changed: () => void
  readonly #children = new Set<ChildProcess>()
  readonly #retries = new Set<NodeJS.Timeout>()
  #pending: NodeJS.Timeout | undefined
  #closed = false

  /** @param changed called at most once per 100 ms; it must not throw. */
  constructor(options: { enter: readonly string[]; log: Logger; changed: () => void }) {
    this.#enter = options.enter
    this.#log = options.log
    this.#changed = options.changed
    for (const words of monitors) this.#watch(words, firstRetry)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    clearTimeout(this.#pending)
    for (const retry of this.#retries) clearTimeout(retry)
    await Promise.all(
      [...this.#children].map(async (child) => {
        const gone = once(child, 'close')
        killGroup(child)
        await gone
      }),
    )
  }

  #watch(words: readonly string[], retry: number): void {
    const command = [...this.#enter, ...words]
    const begin = Date.now()
    let said = ''
    // A monitor reads no stdin that could tell it of our end.
    const child = startChild('setpriv', ['--pdeathsig', 'KILL', ...command], ['ignore', 'pipe', 'pipe'])
    this.#children.add(child)
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-500)
    })
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#hear(text))
    whenEnded(child, (failedStart) => {
      this.#children.delete(child)
      if (this.#closed) return
      // One that had run for a while starts again soon; what it missed meanwhile is found by looking.
      const wait = Date.now() - begin > longestRetry ? firstRetry : retry
      this.#log.warn(`${command.join(' ')} ended, again in ${wait} ms: ${failedStart?.message ?? said.trim()}`)
      const timer = setTimeout(() => {
        this.#retries.delete(timer)
        this.#watch(words, Math.min(wait * 2, longestRetry))
        this.#fireSoon()
      }, wait)
      this.#retries.add(timer)
    })
  }

  #hear(text: string): void {
    // A call is coming anyway: thousands of lines cost nothing.
    if (this.#pending === undefined && text.split('\n').some(isNews)) this.#fireSoon()
  }

  #fireSoon(): void {
    this.#pending ??= setTimeout(() => {
      this.#pending = undefined
      this.#changed()
    }, quiet)
  }
}

/** All but what a busy node says all day: ARP at work, and a bridge that learns where its own pods are. */
function isNews(line: string): boolean {
  // One that is deleted by hand is told of as FAILED too, like one that ARP gave up.
  if (line.startsWith('[NEIGH]Deleted')) return true
  if (line.startsWith('[NEIGH]')) return !/ (REACHABLE|STALE|DELAY|PROBE|FAILED|INCOMPLETE)\s*$/.test(line)
  return line !== '' && (!/ master \S+/.test(line) || line.startsWith('[') || line.includes('permanent'))
}
