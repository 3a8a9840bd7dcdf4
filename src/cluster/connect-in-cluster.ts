// How a pod finds the API server: the service account that Kubernetes mounts into it. Apart from connect.ts, since the library that reads kubeconfig files costs
// 24 MB of memory on every node, and no DaemonSet needs it.
import { readFileSync } from 'node:fs'
import { ApiConnection, type CredentialOptions, type Credentials } from './api-connection.ts'

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount'
/** kubelet replaces the token long before it expires. */
const keptMs = 60_000

export interface InCluster {
  /**
   * "https://HOST:PORT" to use in place of the address that Kubernetes gives. Needed where kube-proxy is off: that address is a ClusterIP, which
   * answers only once we have programmed it.
   */
  readonly server?: string | undefined
  /** The folder of the service account; where Kubernetes has it unless told. */
  readonly directory?: string
}

/** No traffic yet: the first request connects. @throws {Error} when this is no pod, with what to do about it. */
export function connectInCluster({ server, directory = serviceAccount }: InCluster = {}): ApiConnection {
  return new ApiConnection(new ServiceAccount(directory, server))
}

class ServiceAccount implements Credentials {
  readonly server: string
  readonly #directory: string
  #options: CredentialOptions
  #readAt = 0

  constructor(directory: string, server: string | undefined) {
    this.#directory = directory
    this.#options = this.#read()
    this.server = server ?? serverOfPod()
  }

  async requestOptions(): Promise<CredentialOptions> {
    if (performance.now() - this.#readAt >= keptMs) this.reload()
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
      throw new Error(`Expected a kubeconfig or, in a pod, ${this.#directory}/${name}, found neither: name a kubeconfig file`, { cause: error })
    }
  }
}

function serverOfPod(): string {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = process.env
  if (host === undefined) throw new Error('Expected KUBERNETES_SERVICE_HOST to be set in a pod, found it unset: name the API server or a kubeconfig file')
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
}
