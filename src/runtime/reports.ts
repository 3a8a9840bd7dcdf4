// Logs each problem once when it appears and once when it ends, instead of at every reconcile.
import type { Logger } from 'pino'

/** An error that a report has named already: whoever catches it says no more. */
export class ReportedError extends Error {
  override readonly name = 'ReportedError'
}

export class Reports {
  readonly #log: Logger
  /** Topic -> the problems that are logged and still exist. */
  readonly #said = new Map<string, ReadonlySet<string>>()

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Replaces the problems of a topic, and logs the differences.
   * @param sentences all problems that the topic has now
   */
  say(topic: string, sentences: readonly string[]): void {
    const before = this.#said.get(topic) ?? new Set()
    const now = new Set(sentences)
    for (const sentence of now) if (!before.has(sentence)) this.#log.warn({ topic }, sentence)
    for (const sentence of before) if (!now.has(sentence)) this.#log.info({ topic }, `no longer: ${sentence}`)
    this.#said.set(topic, now)
  }

  /** The problems that a topic has now. */
  about(topic: string): readonly string[] {
    return [...(this.#said.get(topic) ?? [])]
  }

  /** All problems that exist now. */
  get open(): readonly string[] {
    return [...this.#said.values()].flatMap((sentences) => [...sentences])
  }
}
