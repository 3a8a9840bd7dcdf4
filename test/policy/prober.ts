// The packets of a test, sent and answered by one process that stands in all network namespaces at once (prober.c).
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Protocol } from './network-policy.ts'

export interface Question {
  /** Of a place. */
  readonly from: string
  /** The source's address where it has several. */
  readonly source?: string
  readonly address: string
  readonly port: number
  readonly protocol: Protocol
  /** Answers that are expected are waited for; the others get the same time, and at least a moment. */
  readonly expected: boolean
}

/** The name of the place that answered; `lost`: the question came to a place, and no answer came back. */
export type Outcome = { readonly open: string } | 'lost' | 'refused' | 'silent'

const answersWithinMs = 5000

export class Prober implements Disposable {
  readonly #directory: string
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #places: string[] = []
  #held = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'ft-prober-'))
    const program = join(this.#directory, 'prober')
    execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, join(import.meta.dirname, 'prober.c')])
    const process = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#process = process
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]()
  }

  /** @param path of a network namespace, as this process can open it. */
  addPlace(name: string, path: string, ports: readonly number[] = []): void {
    const number = this.#places.push(name) - 1
    this.#say([`place ${path}`, ...ports.map((port) => `serve ${number} ${port}`)])
  }

  /** Asks all at once. @returns what came of each, in order. */
  async ask(questions: readonly Question[]): Promise<Outcome[]> {
    return await this.#go(questions.map((question) => `probe ${this.#asked(question)}`))
  }

  /** Opens a flow and keeps it. @returns how to ask once more on it, and what came of the first time. */
  async hold(question: Question): Promise<{ outcome: Outcome; again: (expected: boolean) => Promise<Outcome> }> {
    const flow = this.#held++
    const [outcome = 'silent'] = await this.#go([`hold ${this.#asked(question)}`])
    return {
      outcome,
      again: async (expected) => (await this.#go([`again ${flow} ${Number(expected)}`]))[0] ?? 'silent',
    }
  }

  [Symbol.dispose](): void {
    this.#process.kill()
    rmSync(this.#directory, { recursive: true })
  }

  #asked({ from, source = '-', address, port, protocol, expected }: Question): string {
    const place = this.#places.indexOf(from)
    if (place < 0) throw new Error(`Expected a place of the prober, got \`${from}\``)
    return `${place} ${source} ${address} ${port} ${protocol} ${Number(expected)}`
  }

  #say(lines: readonly string[]): void {
    this.#process.stdin?.write(lines.map((line) => `${line}\n`).join(''))
  }

  /** One after the other, whoever asks. */
  async #go(commands: readonly string[]): Promise<Outcome[]> {
    const outcomes = this.#last.then(async () => await this.#goNow(commands))
    this.#last = outcomes.catch(() => undefined)
    return await outcomes
  }

  async #goNow(commands: readonly string[]): Promise<Outcome[]> {
    this.#say([...commands, `go ${answersWithinMs}`])
    const outcomes: Outcome[] = []
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done === true) throw new Error('the prober ended: what it said is above')
      if (value === 'done') return outcomes
      const [what = '', place] = value.split(' ')
      outcomes.push(
        place === undefined ? (what as 'lost' | 'refused' | 'silent') : { open: this.#places[Number(place)] ?? place },
      )
    }
  }
}
