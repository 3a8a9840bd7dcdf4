// Connects to the API server from inside a pod, with the service account that Kubernetes mounts. Separate from
// connect.ts, because the library that reads kubeconfig files costs 24 MB of memory on every node.
import { readFileSync } from 'node:fs'
import { ApiConnection, type CredentialOptions, type Credentials } from './api-connection.ts'
import { type ServerCandidate, serverCandidates } from './server-candidates.ts'
import type { ServerChoiceParts } from './server-choice.ts'

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount'
/** ms that a token is cached. The kubelet replaces the token long before it expires. */
const tokenCacheMs = 60_000

export interface InCluster {
  /** "https://HOST:PORT" to use instead of the candidates of this node. */
  readonly server?: string | undefined
  /** The folder of the service account; by default the one that Kubernetes mounts. */
  readonly directory?: string
  /** Called with the chosen address before the first request to it. */
  readonly onServer?: ((candidate: ServerCandidate) => void) | undefined
}

/**
 * Builds a connection without any traffic; the first request connects.
 * @throws {Error} when this process does not run in a pod, with what to do about it.
 */
export function connectInCluster({
  server,
  directory = serviceAccount,
  onServer: onChosen,
}: InCluster = {}): ApiConnection {
  const found =
    server === undefined
      ? serverCandidates(process.env)
      : { candidates: [{ server, source: 'the option apiServer', kind: 'named' as const }], problems: [] }
  return new ApiConnection(new ServiceAccount(directory, { ...found, onChosen }))
}

class ServiceAccount implements Credentials {
  readonly servers: ServerChoiceParts
  readonly #directory: string
  #options: CredentialOptions
  #readAt = 0

  constructor(directory: string, servers: ServerChoiceParts) {
    this.#directory = directory
    this.#options = this.#read()
    this.servers = servers
  }

  async requestOptions(): Promise<CredentialOptions> {
    if (performance.now() - this.#readAt >= tokenCacheMs) this.reload()
    return { ...this.#options, headers: { ...this.#options.headers } }
  }

  reload(): void {
    this.#options = this.#read()
  }

  #read(): CredentialOptions {
    const token = this.#file('token').trim()
    const ca = this.#file('ca.crt')
    this.#readAt = performance.now()
    return { ca, headers: { Authorization: `Bearer ${token}` } }
  }

  #file(name: string): string {
    try {
      return readFileSync(`${this.#directory}/${name}`, 'utf8')
    } catch (error) {
      throw new Error(
        `Expected a kubeconfig or, in a pod, ${this.#directory}/${name}, found neither: name a kubeconfig file`,
        { cause: error },
      )
    }
  }
}
