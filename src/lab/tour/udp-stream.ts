// A client that goes on sending datagrams, seen while it does: who answers, and how long nobody did.
import { execa } from 'execa'
import * as z from 'zod'

const lineSchema = z.union([z.object({ pod: z.string() }), z.object({ silenceMs: z.number() })])

export class UdpStream implements AsyncDisposable {
  /** Who has answered, in order. */
  readonly pods: string[] = []
  readonly #end: () => void
  readonly #silence: Promise<number>

  /** @param command one that runs `echo.mjs stream` */
  constructor([file = '', ...args]: readonly string[]) {
    const child = execa(file, args)
    this.#end = () => child.stdin.end()
    this.#silence = this.#follow(child)
    // It is told of where the end is asked for.
    this.#silence.catch(() => undefined)
  }

  /** @returns the longest time without an answer, ms. @throws {Error} where the client has failed. */
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
