// A client that keeps sending datagrams. It records which pods answer, and the longest gap between two answers.
import { execa } from 'execa'
import * as z from 'zod'

const lineSchema = z.union([z.object({ pod: z.string() }), z.object({ silenceMs: z.number() })])

export class UdpStream implements AsyncDisposable {
  /** The pods that have answered, in order. */
  readonly pods: string[] = []
  readonly #end: () => void
  readonly #silence: Promise<number>

  /** @param command runs `echo.mjs stream`. */
  constructor([file = '', ...args]: readonly string[]) {
    const child = execa(file, args)
    this.#end = () => child.stdin.end()
    this.#silence = this.#follow(child)
    // The caller of end() gets the error.
    this.#silence.catch(() => undefined)
  }

  /**
   * Ends the stream.
   * @returns the longest time in ms without an answer.
   * @throws {Error} when the client has failed.
   */
  async end(): Promise<number> {
    this.#end()
    return await this.#silence
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end()
    await this.#silence.catch(() => undefined)
  }

  async #follow(lines: AsyncIterable<string>): Promise<number> {
    let silenceMs = Infinity
    for await (const text of lines) {
      const line = lineSchema.parse(JSON.parse(text))
      if ('pod' in line) this.pods.push(line.pod)
      else silenceMs = line.silenceMs
    }
    return silenceMs
  }
}
