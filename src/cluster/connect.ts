// Connects to the API server with a kubeconfig file, outside of a pod. Inside a pod, see connect-in-cluster.ts.
import { KubeConfig } from '@kubernetes/client-node'
import { ApiConnection, type CredentialOptions, type Credentials } from './api-connection.ts'
import type { ServerCandidate } from './server-candidates.ts'
import type { ServerChoiceParts } from './server-choice.ts'

export interface ClusterAddress {
  /** Path of a kubeconfig file. */
  readonly kubeconfig: string
  /** "https://HOST:PORT" to use instead of the address in the file. */
  readonly server?: string | undefined
  /** Called with the chosen address before the first request to it. */
  readonly onServer?: ((candidate: ServerCandidate) => void) | undefined
}

/**
 * Builds a connection without any traffic; the first request connects.
 * @throws {Error} when the file cannot be used, with what to do about it.
 */
export function connectCluster(address: ClusterAddress): ApiConnection {
  return new ApiConnection(new KubeConfigCredentials(address))
}

class KubeConfigCredentials implements Credentials {
  readonly servers: ServerChoiceParts
  readonly #address: ClusterAddress
  #config: KubeConfig

  constructor(address: ClusterAddress) {
    this.#address = address
    this.#config = loadConfig(address)
    const { kubeconfig, server = this.#config.getCurrentCluster()?.server ?? '', onServer: onChosen } = address
    if (!URL.canParse(server))
      throw new Error(`Expected the API server's address to be a URL, got \`${server}\` from ${kubeconfig}`)
    this.servers = {
      candidates: [
        {
          server,
          source: address.server === undefined ? `the kubeconfig ${kubeconfig}` : 'the option apiServer',
          kind: 'named',
        },
      ],
      proxy: this.#config.getCurrentCluster()?.proxyUrl,
      problems: [],
      onChosen,
    }
  }

  async requestOptions(): Promise<CredentialOptions> {
    const options: CredentialOptions = { headers: {} }
    await this.#config.applyToHTTPSOptions(options)
    const authorization = options.headers['Authorization']
    // A token file that ends in a newline would make node:http refuse the header.
    if (typeof authorization === 'string') options.headers['Authorization'] = authorization.trim()
    // KubeConfig's own agent does not keep connections alive and ignores a rotated CA. Only a proxy needs it.
    if (!this.#config.getCurrentCluster()?.proxyUrl) delete options.agent
    return options
  }

  /**
   * Loads a new KubeConfig, because the old one caches a token file for a minute and an exec token until it expires.
   */
  reload(): void {
    this.#config = loadConfig(this.#address)
  }
}

function loadConfig({ kubeconfig }: ClusterAddress): KubeConfig {
  const config = new KubeConfig()
  readKubeconfig(config, kubeconfig)
  if (config.getCurrentCluster() === null)
    throw new Error(
      `Expected ${kubeconfig} to name a cluster in its current-context, got \`${config.getCurrentContext()}\``,
    )
  return config
}

/** Loads the file. The library's own errors do not name it ("ENOENT", or a TypeError for something else than YAML). */
function readKubeconfig(config: KubeConfig, path: string): void {
  try {
    config.loadFromFile(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'there is no such file' : (message.split('\n')[0] ?? '')
    throw new Error(`Cannot read the kubeconfig ${path}: ${reason}; correct the file or name another with kubeconfig`, {
      cause: error,
    })
  }
}
