// One `ip|bridge|tc -force -batch -` that stays: a line costs it 0.03 ms where a process start costs milliseconds.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Logger } from 'pino'
import { type Answer, AnswerReader, barrier, batchText, failureOf, fatalFailureOf } from './batch-answers.ts'
import type { Change, Tool } from './change.ts'
import { classifyFailure } from './classify-failure.ts'
import { CommandError } from './command-error.ts'
import type { CommandObserver } from './command-observer.ts'
import type { Failure } from './kernel.ts'
import { killGroup, startChild, whenEnded } from './programs.ts'
import { deathOf } from './signal-death.ts'

export interface BatchSessionOptions {
  readonly tool: Tool
  /** What puts the tool into its namespace: ["nsenter", "--net=PATH"] or nothing. */
  readonly enter: readonly string[]
  readonly log: Logger
  readonly observe: CommandObserver | undefined
  /** ms that a caller's lines may take once it is their turn. */
  readonly deadline?: number
}

/** One caller's lines. */
interface Batch {
  readonly changes: readonly Change[]
  readonly failures: Failure[]
  /** Index of the first line without an answer. */
  next: number
  /** ms since the epoch of its turn; undefined while it waits behind another. */
  turn: number | undefined
  readonly done: Promise<readonly Failure[]>
  readonly resolve: (failures: readonly Failure[]) => void
  readonly reject: (error: CommandError) => void
}

export class BatchSession implements AsyncDisposable {
  readonly #options: BatchSessionOptions
  readonly #enterText: string
  readonly #deadline: number
  /** The first is the one being answered; all of them are written to #child already. */
  #batches: Batch[] = []
  #child: ChildProcess | undefined
  #timer: NodeJS.Timeout | undefined
  /** The first batch's time was up, and #child has been killed for it. */
  #overdue = false
  /** #child is to end as soon as it has nothing to do. */
  #worn = false
  #closed = false

  constructor(options: BatchSessionOptions) {
    this.#options = options
    this.#enterText = options.enter.map((word) => `${word} `).join('')
    this.#deadline = options.deadline ?? 20_000
  }

  /**
   * Answers which of the changes failed, in their order. Callers do not wait for each other's answers: their lines
   * follow in one stream.
   * @throws {CommandError} when the tool cannot be started at all.
   */
  async apply(changes: readonly Change[]): Promise<readonly Failure[]> {
    if (this.#closed) throw this.#error('killed', 'the session is closed')
    if (changes.length === 0) return []
    const { promise: done, resolve, reject } = Promise.withResolvers<readonly Failure[]>()
    this.#batches.push({ changes, failures: [], next: 0, turn: undefined, done, resolve, reject })
    this.#watchHead()
    if (this.#child === undefined) this.#start()
    else this.#child.stdin?.write(batchText(changes))
    return done
  }

  /** Lets the tool end once its lines are done, and starts a new one for those that come then. */
  renew(): void {
    this.#worn = true
    this.#retireWorn()
  }

  /** Lines already given are carried out first, however many new tools that takes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    while (this.#batches.length > 0) await Promise.allSettled(this.#batches.map(({ done }) => done))
    const child = this.#child
    if (child === undefined) return
    const gone = once(child, 'close')
    child.stdin?.end()
    const patience = setTimeout(() => killGroup(child), 2_000)
    await gone
    clearTimeout(patience)
  }

  #retireWorn(): void {
    if (!this.#worn || this.#batches.length > 0 || this.#child === undefined) return
    this.#child.stdin?.end()
    this.#child = undefined
  }

  /** Starts the tool and gives it every line that still has no answer. */
  #start(): void {
    const [program, ...args] = [...this.#options.enter, this.#options.tool, '-force', '-batch', '-']
    let child: ChildProcess
    try {
      child = startChild(program ?? '', args, ['pipe', 'ignore', 'pipe'])
    } catch (error) {
      this.#rejectAll(error instanceof CommandError ? error : this.#error('other', String(error)))
      return
    }
    this.#child = child
    this.#worn = false
    const reader = new AnswerReader()
    let started = false
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      for (const answer of reader.read(piece)) {
        if (started) this.#take(answer)
        started = true
      }
    })
    // Writing to a child that dies is no failure of its own: its end is dealt with below.
    child.stdin?.on('error', () => {})
    whenEnded(child, (failedStart) => {
      if (this.#child !== child) return
      this.#child = undefined
      const overdue = this.#overdue
      this.#overdue = false
      const death = child.signalCode === null ? undefined : deathOf(child.signalCode, reader.rest)
      if (!started && overdue) this.#rejectAll(this.#error('timeout', reader.rest || 'no answer'))
      else if (!started && death !== undefined) this.#rejectAll(this.#error('killed', death))
      else if (!started)
        this.#rejectAll(
          this.#error(
            classifyFailure(reader.rest),
            reader.rest || (failedStart?.message ?? 'ended before its first line'),
          ),
        )
      else if (overdue) this.#revive((batch) => this.#failRest(batch))
      else
        this.#revive((batch, change) =>
          this.#fail(
            batch,
            death === undefined
              ? fatalFailureOf(change, this.#enterText, reader.rest)
              : failureOf(change, this.#enterText, death, 'killed'),
          ),
        )
    })
    child.stdin?.write(barrier + this.#batches.map(({ changes, next }) => batchText(changes.slice(next))).join(''))
  }

  #take(answer: Answer): void {
    const batch = this.#batches[0]
    const change = batch?.changes[batch.next]
    if (batch === undefined || change === undefined) return
    if (!answer.ok) this.#fail(batch, failureOf(change, this.#enterText, answer.said))
    else {
      batch.next += 1
      if (this.#options.log.isLevelEnabled('debug'))
        this.#options.log.debug(`${this.#enterText}${change.tool} ${change.line}`)
    }
    this.#settleHead()
  }

  /** The tool has ended: the line it was at has failed, the others are given to a new one. */
  #revive(fail: (batch: Batch, change: Change) => void): void {
    const batch = this.#batches[0]
    const change = batch?.changes[batch.next]
    if (batch !== undefined && change !== undefined) {
      fail(batch, change)
      this.#settleHead()
    }
    if (this.#batches.length > 0) this.#start()
  }

  #failRest(batch: Batch): void {
    for (const change of batch.changes.slice(batch.next))
      this.#fail(batch, failureOf(change, this.#enterText, `no answer within ${this.#deadline} ms`, 'timeout'))
  }

  #fail(batch: Batch, failure: Failure): void {
    batch.failures.push(failure)
    batch.next += 1
  }

  #settleHead(): void {
    const batch = this.#batches[0]
    if (batch === undefined || batch.next < batch.changes.length) return
    this.#batches.shift()
    this.#observe(batch)
    batch.resolve(batch.failures)
    this.#watchHead()
    this.#retireWorn()
  }

  /** The first batch's time begins when those before it are done. */
  #watchHead(): void {
    const batch = this.#batches[0]
    if (batch !== undefined && batch.turn !== undefined) return
    clearTimeout(this.#timer)
    if (batch === undefined) return
    batch.turn = Date.now()
    this.#timer = setTimeout(() => {
      this.#overdue = true
      if (this.#child !== undefined) killGroup(this.#child)
    }, this.#deadline)
  }

  #rejectAll(error: CommandError): void {
    const batches = this.#batches
    this.#batches = []
    this.#watchHead()
    for (const { reject } of batches) reject(error)
  }

  #observe(batch: Batch): void {
    const { observe, tool } = this.#options
    observe?.command(tool, (Date.now() - (batch.turn ?? Date.now())) / 1000, batch.failures.length === 0)
    observe?.lines(tool, batch.changes.length)
  }

  #error(kind: CommandError['kind'], stderr: string): CommandError {
    return new CommandError({ kind, command: `${this.#enterText}${this.#options.tool} -force -batch -`, stderr })
  }
}
