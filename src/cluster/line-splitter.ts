// Cuts a stream of bytes into lines. Bytes and not strings: a chunk may end inside a UTF-8 sequence, and a line is
// decoded once, when it is whole.

const newline = 0x0a

export class LineSplitter {
  /**
   * The start of a line whose end has not come yet. Joined once only, so that a long line in many chunks costs its
   * length and not its square.
   */
  #pending: Buffer[] = []

  /** The lines that this chunk completes, without their newline. Empty lines are left out. */
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

  /** What came after the last newline; undefined where the stream ended on one. */
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
