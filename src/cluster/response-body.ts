// Reads the body of an HTTP response, as text or as a stream of lines.

/** Yields the lines of a body, without their newlines; empty lines are skipped. */
export async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const splitter = new LineSplitter()
  for await (const chunk of body) yield* splitter.push(chunk)
  const rest = splitter.end()
  if (rest !== undefined) yield rest
}

/** Reads a body to its end. */
export async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/**
 * Yields the chunks of a body.
 * @param request the method and URL, for the error; Node reports only "aborted".
 * @throws {Error} when the connection ends before the body does.
 */
export async function* chunksOf(response: AsyncIterable<Buffer>, request: string): AsyncGenerator<Buffer> {
  try {
    yield* response
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error
    throw new Error(`${request} broke off before its answer was complete`, { cause: error })
  }
}

const newline = 0x0a

/**
 * Splits a stream of bytes into lines. It works on bytes because a chunk may end inside a UTF-8 sequence; a line is
 * decoded once, when it is complete.
 */
export class LineSplitter {
  /** The chunks of an incomplete line. They are joined once, so a line in many chunks costs linear time. */
  #pending: Buffer[] = []

  /** Returns the lines that this chunk completes, without their newlines; empty lines are skipped. */
  push(chunk: Buffer): Buffer[] {
    const lines: Buffer[] = []
    let start = 0
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      const line = this.#join(chunk.subarray(start, end))
      if (line.length > 0) lines.push(line)
      start = end + 1
    }
    if (start < chunk.length) this.#pending.push(chunk.subarray(start))
    return lines
  }

  /** Returns the bytes after the last newline; undefined when the stream ended with a newline. */
  end(): Buffer | undefined {
    const rest = this.#join(Buffer.alloc(0))
    return rest.length > 0 ? rest : undefined
  }

  #join(last: Buffer): Buffer {
    if (this.#pending.length === 0) return last
    const whole = Buffer.concat([...this.#pending, last])
    this.#pending = []
    return whole
  }
}
