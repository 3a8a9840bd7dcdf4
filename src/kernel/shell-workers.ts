// One or two small shells that start programs for us. A fork from Node copies our page tables and holds the event loop
// for milliseconds, the more the larger we are; a fork from a shell of 1 MB costs us a write and a read.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { killGroup, startChild, whenEnded } from './programs.ts'

export interface ShellResult {
  readonly stdout: string
  readonly stderr: string
  /** The script's exit status; undefined when its shell was killed, by its time limit or from outside. */
  readonly status: number | undefined
  readonly timedOut: boolean
}

interface Job {
  readonly script: string
  readonly timeout: number
  readonly lines: ((line: string) => void) | undefined
  readonly resolve: (result: ShellResult) => void
}

/** Starts its shells when they are first needed. */
export class ShellWorkers implements AsyncDisposable {
  readonly #size: number
  #idle: Worker[] = []
  readonly #waiting: Job[] = []
  readonly #workers = new Set<Worker>()
  readonly #unfinished = new Set<Promise<ShellResult>>()
  #closed = false

  /** @param size how many scripts may run at the same time. */
  constructor(size: number) {
    this.#size = size
  }

  /**
   * Runs a script of whole lines to its end. It may contain here-documents, and must not read stdin otherwise nor call
   * `exit`.
   * @param options.timeout ms; 10 s where not given
   * @param options.lines receives each whole line of stdout as it comes; stdout then keeps only what has no line end
   * @throws {CommandError} when there is no shell.
   */
  async run(
    script: string,
    options: { timeout?: number; lines?: ((line: string) => void) | undefined } = {},
  ): Promise<ShellResult> {
    if (this.#closed) throw new Error('Expected the shell workers to be open, got a script after they were closed')
    const { promise, resolve } = Promise.withResolvers<ShellResult>()
    const { timeout = 10_000, lines } = options
    const job: Job = { script, timeout, lines, resolve }
    const worker = this.#idle.pop() ?? this.#another()
    if (worker === undefined) this.#waiting.push(job)
    else worker.start(job)
    this.#unfinished.add(promise)
    const result = await promise
    this.#unfinished.delete(promise)
    return result
  }

  /** Waits for the scripts that were given. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await Promise.all(this.#unfinished)
    await Promise.all([...this.#workers].map((worker) => worker.end()))
  }

  #another(): Worker | undefined {
    if (this.#workers.size >= this.#size) return undefined
    const worker = new Worker({
      idle: () => this.#next(worker),
      gone: () => {
        this.#workers.delete(worker)
        this.#idle = this.#idle.filter((other) => other !== worker)
        const job = this.#waiting.shift()
        if (job !== undefined) this.#another()?.start(job)
      },
    })
    this.#workers.add(worker)
    return worker
  }

  #next(worker: Worker): void {
    const job = this.#waiting.shift()
    if (job === undefined) this.#idle.push(worker)
    else worker.start(job)
  }
}

/** One shell. It reads scripts from its stdin and ends each with the terminator on both its outputs. */
class Worker {
  readonly #child: ChildProcess
  readonly #callbacks: { idle: () => void; gone: () => void }
  #stdout = ''
  #stderr = ''
  #job: Job | undefined
  #timer: NodeJS.Timeout | undefined
  #timedOut = false

  constructor(callbacks: { idle: () => void; gone: () => void }) {
    this.#callbacks = callbacks
    this.#child = startChild('sh', [], ['pipe', 'pipe', 'pipe'])
    this.#child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      this.#stdout += piece
      this.#giveLines()
      this.#finishIfDone()
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      this.#stderr += piece
      this.#finishIfDone()
    })
    // Writing to a shell that dies is no failure of its own: its end is.
    this.#child.stdin?.on('error', () => {})
    whenEnded(this.#child, () => this.#die())
  }

  start(job: Job): void {
    this.#job = job
    this.#timer = setTimeout(() => {
      this.#timedOut = true
      killGroup(this.#child)
    }, job.timeout)
    // \036 (record separator) stands in no tool's output.
    this.#child.stdin?.write(`${job.script}\nprintf '\\036%d\\036' $?; printf '\\036' >&2\n`)
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'close')
    this.#child.stdin?.end()
    await gone
  }

  #giveLines(): void {
    const give = this.#job?.lines
    if (give === undefined) return
    const lines = this.#stdout.split('\n')
    this.#stdout = lines.pop() ?? ''
    for (const line of lines) give(line)
  }

  #finishIfDone(): void {
    if (!this.#stdout.endsWith('\u001E') || !this.#stderr.endsWith('\u001E')) return
    const [stdout = '', status, ...rest] = this.#stdout.split('\u001E')
    // A piece may end between the two separators.
    if (rest.length === 0) return
    this.#settle({ stdout, stderr: this.#stderr.slice(0, -1), status: Number(status), timedOut: false })
    this.#callbacks.idle()
  }

  #die(): void {
    this.#settle({ stdout: this.#stdout, stderr: this.#stderr, status: undefined, timedOut: this.#timedOut })
    this.#callbacks.gone()
  }

  #settle(result: ShellResult): void {
    clearTimeout(this.#timer)
    const job = this.#job
    this.#job = undefined
    this.#stdout = ''
    this.#stderr = ''
    job?.resolve(result)
  }
}
