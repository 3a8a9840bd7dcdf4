// Word of every transaction that anybody makes in nftables, so that what another program does to a table is found at
// once and need not be looked for.
//
// `nft monitor` would say more, but reads every rule of the node first (300 MB with 10,000 Services); `xtables-monitor
//   --event` reads none, takes 2 MB, and ends each
// transaction with its number and the program that made it: `NEWGEN: GENID=3 PID=3354 NAME=nft`. Asked for IPv6 alone
// it prints no rules of IPv4, which on most nodes are all that there are. One transaction of tens of thousands of rules
// may be more than it can hear, and ends it: it starts again, and that counts as news.
import type { Logger } from 'pino'
import { KeptProgram } from './kept-program.ts'

// Into a pipe it would speak when it has 4 KB to say.
const monitor = ['stdbuf', '-oL', 'xtables-monitor', '--event', '--ipv6']
/** ms between the first transaction and the call, and so at least between two calls. */
const quiet = 50
/** ms after a transaction of ours has ended, within which we hear of it. */
const toldWithin = 5000

export class RulesetWatch implements AsyncDisposable {
  readonly #changed: () => void
  readonly #program: KeptProgram
  /** Our own transactions that we have not been told of, with the time (ms) from which we no longer expect it. */
  readonly #own = new Set<{ until: number }>()
  #pending: NodeJS.Timeout | undefined

  /** @param changed another program has made a transaction, but for iptables, which reaches no tables but its own */
  constructor({ enter, log, changed }: { enter: readonly string[]; log: Logger; changed: () => void }) {
    this.#changed = changed
    this.#program = new KeptProgram({
      words: [...enter, ...monitor],
      log,
      level: 'debug',
      hear: (line) => this.#hear(line),
      restarted: () => this.#restarted(),
    })
  }

  /** Whether changes are told of: not while the program starts, nor where it is not installed. */
  get works(): boolean {
    return this.#program.settled
  }

  /** Runs one transaction of our own. */
  async ours(transact: () => Promise<void>): Promise<void> {
    const own = { until: Number.POSITIVE_INFINITY }
    this.#own.add(own)
    try {
      await transact()
      own.until = Date.now() + toldWithin
    } catch (error) {
      this.#own.delete(own)
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#pending)
    await this.#program[Symbol.asyncDispose]()
  }

  #hear(line: string): void {
    const [, program] = /^NEWGEN: .*NAME=(.*)$/.exec(line) ?? []
    if (program === undefined || /^(ip6?|x|eb|arp)tables/.test(program)) return
    if (program === 'nft' && this.#isOurs()) return
    this.#fireSoon()
  }

  #isOurs(): boolean {
    const now = Date.now()
    for (const own of this.#own) {
      this.#own.delete(own)
      if (own.until >= now) return true
    }
    return false
  }

  #restarted(): void {
    this.#own.clear()
    this.#fireSoon()
  }

  #fireSoon(): void {
    this.#pending ??= setTimeout(() => {
      this.#pending = undefined
      this.#changed()
    }, quiet)
  }
}
