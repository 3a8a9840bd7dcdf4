// Which of several addresses of the API server is used: the first, in their order, that answers with a certificate of
// the cluster. Chosen when it is first needed and then kept: afterwards an outage is the server's, and another address
// would not help.
import type { ServerCandidate } from './server-candidates.ts'

export interface ServerChoiceParts {
  /** Best first, at least one. */
  readonly candidates: readonly ServerCandidate[]
  /** Why some that were expected are not among them. */
  readonly problems: readonly string[]
  /** Told once. */
  readonly onChosen?: ((candidate: ServerCandidate) => void) | undefined
}

export class ServerChoice {
  readonly #parts: ServerChoiceParts
  readonly #ask: (server: string) => Promise<void>
  #chosen: string | undefined
  #choosing: Promise<string> | undefined

  /** @param ask rejects where no API server of the cluster answers at the address */
  constructor(parts: ServerChoiceParts, ask: (server: string) => Promise<void>) {
    this.#parts = parts
    this.#ask = ask
  }

  /** The address in use, or those that may come to be, for messages. */
  get text(): string {
    return this.#chosen ?? this.#parts.candidates.map(({ server }) => server).join(' or ')
  }

  /**
   * Those who ask while it is being found out wait for one answer.
   * @throws {Error} that tells of each address; the next call tries them again.
   */
  async take(): Promise<string> {
    if (this.#chosen !== undefined) return this.#chosen
    this.#choosing ??= this.#choose().finally(() => (this.#choosing = undefined))
    return await this.#choosing
  }

  async #choose(): Promise<string> {
    const { candidates, problems, onChosen } = this.#parts
    const failures: string[] = []
    for (const candidate of candidates) {
      try {
        // There is nothing to choose from one, and its failures are better told by the request that meets them.
        if (candidates.length > 1) await this.#ask(candidate.server)
        this.#chosen = withoutSlash(candidate.server)
        onChosen?.(candidate)
        return this.#chosen
      } catch (error) {
        failures.push(`${candidate.server} from ${candidate.source} (${(error as Error).message})`)
      }
    }
    throw new Error(
      `The API server answers at none of its addresses: ${[...failures, ...problems].join('; ')}; name one that does with apiServer`,
    )
  }
}

function withoutSlash(server: string): string {
  return server.replace(/\/+$/, '')
}
