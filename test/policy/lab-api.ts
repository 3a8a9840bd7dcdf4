// Requests to a running lab's API server, over one process in its namespace.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { labNamed, namespacePath } from '../../src/lab/layout.ts'
import { testProgram } from '../bundled-programs.ts'

export class LabApi implements Disposable {
  readonly #process: ChildProcess
  readonly #answers: AsyncIterator<string>
  #last: Promise<unknown> = Promise.resolve()

  constructor(lab: string) {
    const process_ = spawn(
      'nsenter',
      [
        `--net=${namespacePath(labNamed(lab), 'control')}`,
        '--',
        process.execPath,
        testProgram('policy/lab-api-process.ts'),
        lab,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    this.#process = process_
    this.#answers = createInterface({ input: process_.stdout })[Symbol.asyncIterator]()
  }

  /** @throws {Error} with what the server said, when it refused. */
  async request(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<unknown> {
    const answer = this.#last.then(async () => {
      this.#process.stdin?.write(`${JSON.stringify({ method, path, body })}\n`)
      return JSON.parse(String((await this.#answers.next()).value)) as { status: number; body?: unknown }
    })
    this.#last = answer.catch(() => undefined)
    const { status, body: said } = await answer
    if (status !== 200) throw new Error(`${method} ${path}: ${status} ${String(said)}`)
    return said
  }

  [Symbol.dispose](): void {
    this.#process.kill()
  }
}
