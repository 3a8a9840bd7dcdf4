// Sentences about what is wrong are logged once, when they become true, and once more when they no longer are: not at
// every pass.
import type { Logger } from 'pino'

export class Reports {
  readonly #log: Logger
  /** By topic: what was said and still holds. */
  readonly #said = new Map<string, ReadonlySet<string>>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** @param sentences all that is wrong with the topic now. */
  say(topic: string, sentences: readonly string[]): void {
    const before = this.#said.get(topic) ?? new Set()
    const now = new Set(sentences)
    for (const sentence of now) if (!before.has(sentence)) this.#log.warn({ topic }, sentence)
    for (const sentence of before) if (!now.has(sentence)) this.#log.info({ topic }, `no longer: ${sentence}`)
    this.#said.set(topic, now)
  }

  /** Everything that is wrong now. */
  get open(): readonly string[] {
    return [...this.#said.values()].flatMap((sentences) => [...sentences])
  }
}
