// Chooses one of several addresses of the API server: the first, in order, that answers with a certificate of the
// cluster. The choice is made on first use and kept: a later outage is the server's, and another address would not
// help.
import type { ServerCandidate } from './server-candidates.ts'

export interface ServerChoiceParts {
  /** Best first; at least one. */
  readonly candidates: readonly ServerCandidate[]
  /** Why expected candidates are missing, for the error. */
  readonly problems: readonly string[]
  /** The URL of a proxy that leads to all of them. */
  readonly proxy?: string | undefined
  /** Called once. */
  readonly onChosen?: ((candidate: ServerCandidate) => void) | undefined
}

export class ServerChoice {
  readonly #parts: ServerChoiceParts
  readonly #probe: (server: string) => Promise<void>
  #chosen: string | undefined
  #choosing: Promise<string> | undefined

  /** @param probe rejects when no API server of the cluster answers at the address. */
  constructor(parts: ServerChoiceParts, probe: (server: string) => Promise<void>) {
    this.#parts = parts
    this.#probe = probe
  }

  /** The chosen address, or all candidates until one is chosen, for messages. */
  get text(): string {
    return this.#chosen ?? this.#parts.candidates.map(({ server }) => server).join(' or ')
  }

  /** URLs that requests go to: of the server in use and of those that are named, or of the proxy before them. */
  get places(): readonly string[] {
    const { candidates, proxy } = this.#parts
    if (proxy !== undefined) return [proxy]
    return candidates
      .filter(({ server, kind }) => kind === 'named' || (kind === 'guess' && withoutSlash(server) === this.#chosen))
      .map(({ server }) => server)
  }

  /**
   * Returns the chosen address. Concurrent calls share one choice.
   * @throws {Error} that names each address and its failure; the next call tries them all again.
   */
  async server(): Promise<string> {
    if (this.#chosen !== undefined) return this.#chosen
    this.#choosing ??= this.#choose().finally(() => (this.#choosing = undefined))
    return await this.#choosing
  }

  async #choose(): Promise<string> {
    const { candidates, problems, onChosen } = this.#parts
    const failures: string[] = []
    for (const candidate of candidates) {
      try {
        // A single candidate is not probed: the request itself reports its failures better.
        if (candidates.length > 1) await this.#probe(candidate.server)
        this.#chosen = withoutSlash(candidate.server)
        onChosen?.(candidate)
        return this.#chosen
      } catch (error) {
        failures.push(`${candidate.server} from ${candidate.source} (${(error as Error).message})`)
      }
    }
    throw new Error(
      `None of the API server's addresses answers: ${[...failures, ...problems].join('; ')}; ` +
        'set apiServer to one that does',
    )
  }
}

function withoutSlash(server: string): string {
  return server.replace(/\/+$/, '')
}
