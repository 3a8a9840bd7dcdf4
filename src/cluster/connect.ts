// How the API server is found: a kubeconfig file, or what Kubernetes puts into every pod.
import { existsSync } from 'node:fs'
import { KubeConfig } from '@kubernetes/client-node'
import { ApiConnection, type CredentialOptions, type Credentials } from './api-connection.ts'

export interface ClusterAddress {
  /** Path of a kubeconfig file; without one, the pod's service account. */
  readonly kubeconfig?: string | undefined
  /**
   * "https://HOST:PORT" to use in place of the address found. Needed in a pod where kube-proxy is off: the address Kubernetes gives there is a
   * ClusterIP, which answers only once we have programmed it.
   */
  readonly server?: string | undefined
}

const serviceAccountToken = '/var/run/secrets/kubernetes.io/serviceaccount/token'

/** No traffic yet: the first request connects. @throws {Error} when there is no usable configuration, with what to do about it. */
export function connectCluster(address: ClusterAddress = {}): ApiConnection {
  return new ApiConnection(new KubeConfigCredentials(address))
}

class KubeConfigCredentials implements Credentials {
  readonly server: string
  readonly #address: ClusterAddress
  #config: KubeConfig

  constructor(address: ClusterAddress) {
    this.#address = address
    this.#config = loadConfig(address)
    this.server = address.server ?? this.#config.getCurrentCluster()?.server ?? ''
    if (!URL.canParse(this.server)) throw new Error(`Expected the API server's address to be a URL, got \`${this.server}\`${address.kubeconfig === undefined ? '' : ` from ${address.kubeconfig}`}`)
  }

  async requestOptions(): Promise<CredentialOptions> {
    const options: CredentialOptions = { headers: {} }
    await this.#config.applyToHTTPSOptions(options)
    const authorization = options.headers['Authorization']
    // A token file that ends in a newline would make node:http refuse the header.
    if (typeof authorization === 'string') options.headers['Authorization'] = authorization.trim()
    // KubeConfig's own agent neither keeps connections alive nor follows a rotated CA. Only a proxy needs it.
    if (!this.#config.getCurrentCluster()?.proxyUrl) delete options.agent
    return options
  }

  /** A new KubeConfig: the old one holds a token file's content for a minute, and an exec plugin's token until it expires. */
  reload(): void {
    this.#config = loadConfig(this.#address)
  }
}

function loadConfig({ kubeconfig, server }: ClusterAddress): KubeConfig {
  const config = new KubeConfig()
  if (kubeconfig !== undefined) {
    readKubeconfig(config, kubeconfig)
    if (config.getCurrentCluster() === null) throw new Error(`Expected ${kubeconfig} to name a cluster in its current-context, got \`${config.getCurrentContext()}\``)
    return config
  }
  if (!existsSync(serviceAccountToken)) throw new Error(`Expected a kubeconfig or, in a pod, ${serviceAccountToken}, found neither: name a kubeconfig file`)
  if (server === undefined && process.env['KUBERNETES_SERVICE_HOST'] === undefined) throw new Error('Expected KUBERNETES_SERVICE_HOST to be set in a pod, found it unset: name the API server')
  config.loadFromCluster()
  return config
}

/** The library's own errors say nothing of the file ("ENOENT", or a TypeError where it is no kubeconfig). */
function readKubeconfig(config: KubeConfig, path: string): void {
  try {
    config.loadFromFile(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'there is no such file' : (message.split('\n')[0] ?? '')
    throw new Error(`Cannot read the kubeconfig ${path}: ${reason}; correct the file or name another with kubeconfig`, { cause: error })
  }
}
