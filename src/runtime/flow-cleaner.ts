// Ends stale UDP flows of one family: walks the conntrack table once for all changes that came together, asks a room to
// judge each flow, and deletes the stale ones. A UDP client that keeps its source port keeps its conntrack entry, and
// with it the endpoint that it was once given, for as long as it sends; TCP connections notice by themselves.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { CommandError } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { FlowVerdict, UdpFlow, UdpFlowFilter } from '../kernel/udp-flow.ts'
import type { Family } from '../net/address.ts'
import { BackOff } from './back-off.ts'

/** Judges the flows of one walk through the conntrack table. */
export interface FlowAudit {
  /** Says what becomes of a flow. */
  readonly judge: (flow: UdpFlow) => FlowVerdict
  /** Called when the stale flows are deleted, or when that has failed and the next walk has to judge them again. */
  readonly done: (succeeded: boolean) => void
}

/** Receives each walk that succeeded: how long it took in seconds, how many entries were deleted. It must not throw. */
export type CleaningObserver = (family: Family, seconds: number, entries: number) => void

/** The next walk waits for so many times as long as the last one took, so that many changes cost a third of a core. */
const restPerCost = 2
/** Below this a walk is so cheap that the next may follow at once: an ADD or a DEL waits for it. */
const cheapMs = 100
const longestRestMs = 2000

export class FlowCleaner {
  readonly #family: Family
  readonly #kernel: Pick<Kernel, 'readUdpFlows' | 'deleteUdpFlows'>
  readonly #log: Logger
  readonly #observe: CleaningObserver | undefined
  readonly #begin: () => Promise<FlowAudit | undefined>
  /** The walk that has not begun: all callers until then share it. */
  #next: Promise<void> | undefined
  /** Settles when the last walk asked for so far has ended; never rejects. */
  #last: Promise<void> = Promise.resolve()
  /** No walk before this, ms of performance.now. */
  #notBefore = 0
  readonly #backOff = new BackOff({ firstMs: 1000, longestMs: 60_000, forgottenAfterMs: 0 })
  #retry: NodeJS.Timeout | undefined
  /** Why the last walk failed: logged as a warning once. */
  #reported: string | undefined

  /** @param parts.begin called as a walk begins; undefined where no flow can be stale, and no walk is needed */
  constructor(parts: {
    family: Family
    kernel: Pick<Kernel, 'readUdpFlows' | 'deleteUdpFlows'>
    log: Logger
    observe?: CleaningObserver | undefined
    begin: () => Promise<FlowAudit | undefined>
  }) {
    this.#family = parts.family
    this.#kernel = parts.kernel
    this.#log = parts.log
    this.#observe = parts.observe
    this.#begin = parts.begin
  }

  /**
   * Ends stale flows. Call it when the rules that lead elsewhere are in force: before that, the client's next packet
   * only renews its entry.
   * @returns a promise that settles when a walk that began after this call has ended, and never rejects. A walk that
   * failed is repeated in the background until one succeeds.
   */
  async clean(): Promise<void> {
    if (this.#next === undefined) {
      this.#next = this.#walkAfter(this.#last)
      this.#last = this.#next
    }
    return this.#next
  }

  /** Settles when no walk is under way or waits for its turn; never rejects. */
  async idle(): Promise<void> {
    await this.#last
  }

  async #walkAfter(last: Promise<void>): Promise<void> {
    await last
    const rest = this.#notBefore - performance.now()
    if (rest > 0) await sleep(rest)
    this.#next = undefined
    await this.#walk()
  }

  async #walk(): Promise<void> {
    const begin = performance.now()
    let audit: FlowAudit | undefined
    try {
      audit = await this.#begin()
      if (audit === undefined) return
      const entries = await this.#end(audit.judge)
      this.#observe?.(this.#family, (performance.now() - begin) / 1000, entries)
      audit.done(true)
      this.#succeeded()
    } catch (error) {
      audit?.done(false)
      this.#failed(error)
    } finally {
      const now = performance.now()
      const cost = now - begin
      this.#notBefore = cost < cheapMs ? 0 : now + Math.min(cost * restPerCost, longestRestMs)
    }
  }

  async #end(judge: FlowAudit['judge']): Promise<number> {
    const stale = new Map<string, UdpFlowFilter>()
    await this.#kernel.readUdpFlows(this.#family, (flow) => {
      const verdict = judge(flow)
      if (verdict === 'keep') return
      const { source: _, sourcePort: __, ...lead } = flow
      const filter = verdict === 'end-lead' ? lead : flow
      stale.set(JSON.stringify(filter), filter)
    })
    if (stale.size === 0) return 0
    const entries = await this.#kernel.deleteUdpFlows(this.#family, [...stale.values()])
    this.#log.info({ family: this.#family, flows: entries }, 'stale UDP flows ended')
    return entries
  }

  #succeeded(): void {
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#backOff.succeeded()
    this.#reported = undefined
  }

  #failed(error: unknown): void {
    const why = error instanceof CommandError ? error.stderr : String(error)
    this.#log[why === this.#reported ? 'debug' : 'warn'](
      { err: error, family: this.#family },
      `conntrack entries of a UDP endpoint that is gone could not be deleted (${why}): clients that keep their port may lose packets until it succeeds`,
    )
    this.#reported = why
    if (this.#retry !== undefined) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      void this.clean()
    }, this.#backOff.failed()).unref()
  }
}
