// One program run by the ten thousand, one run after the other, by a small process that stands beside this large one
// (run-many.c).
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

export interface ProgramRun {
  /** Minus the signal, where one ended it. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Exit code and two lengths. */
const headLength = 12

export class ProgramRunner implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #chunks: AsyncIterator<Buffer>
  readonly #ended: Promise<unknown>
  #unread = Buffer.alloc(0)

  /** @param program its path; it gets no arguments */
  constructor(program: string) {
    const dir = mkdtempSync(join(tmpdir(), 'run-many-'))
    try {
      execFileSync('gcc', [
        '-std=c11',
        '-O2',
        '-Wall',
        '-Wextra',
        '-Werror',
        '-o',
        join(dir, 'run-many'),
        join(import.meta.dirname, 'run-many.c'),
      ])
      this.#child = spawn(join(dir, 'run-many'), [program], { stdio: ['pipe', 'pipe', 'inherit'] })
    } finally {
      // What runs needs its file no more: spawn has executed it before it returns.
      rmSync(dir, { recursive: true })
    }
    this.#ended = once(this.#child, 'close')
    this.#child.stdin.on('error', () => {})
    this.#chunks = this.#child.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  }

  /** Not before the last run has been answered. @throws {Error} when the runner has ended, which says why on stderr. */
  async run(variables: Readonly<Record<string, string>>, stdin: Buffer): Promise<ProgramRun> {
    const environment = Buffer.from(
      Object.entries(variables)
        .map(([name, value]) => `${name}=${value}\0`)
        .join(''),
    )
    const lengths = Buffer.alloc(8)
    lengths.writeUInt32LE(environment.length, 0)
    lengths.writeUInt32LE(stdin.length, 4)
    this.#child.stdin.write(Buffer.concat([lengths, environment, stdin]))
    const head = await this.#take(headLength)
    const output = await this.#take(head.readUInt32LE(4) + head.readUInt32LE(8))
    return {
      exitCode: head.readInt32LE(0),
      stdout: output.toString('utf8', 0, head.readUInt32LE(4)),
      stderr: output.toString('utf8', head.readUInt32LE(4)),
    }
  }

  /** Also ends a run that hangs. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#unread.length < length) {
      const { done, value } = await this.#chunks.next()
      if (done === true) throw new Error('the process that runs the program has ended')
      this.#unread = Buffer.concat([this.#unread, value])
    }
    const taken = this.#unread.subarray(0, length)
    this.#unread = this.#unread.subarray(length)
    return taken
  }
}
