// Requests to an API server as they stand on the wire: for what an ApiConnection hides, such as headers and refusals.
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { parse } from 'yaml'

export interface RawRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface RawAnswer {
  readonly status: number
  readonly contentType: string
  readonly text: string
  /** The text read as JSON. */
  readonly json: unknown
}

interface KubeconfigFile {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string }
  }[]
  readonly users: readonly { readonly user: { readonly token: string } }[]
}

/** @param kubeconfig a file with one cluster and one user's token. */
export async function rawRequest(
  kubeconfig: string,
  path: string,
  { method = 'GET', headers = {}, body = '' }: RawRequest = {},
): Promise<RawAnswer> {
  const { clusters, users } = parse(await readFile(kubeconfig, 'utf8')) as KubeconfigFile
  const { server, 'certificate-authority-data': authority } = clusters[0]!.cluster
  const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>()
  const outgoing = request(
    `${server}${path}`,
    {
      method,
      ca: Buffer.from(authority, 'base64'),
      headers: { authorization: `Bearer ${users[0]!.user.token}`, ...headers },
    },
    (response) => {
      const pieces: Buffer[] = []
      response
        .on('data', (piece: Buffer) => pieces.push(piece))
        .on('error', reject)
        .on('end', () => {
          const text = Buffer.concat(pieces).toString()
          resolve({
            status: response.statusCode ?? 0,
            contentType: response.headers['content-type'] ?? '',
            text,
            json: text.startsWith('{') ? (JSON.parse(text) as unknown) : undefined,
          })
        })
    },
  )
  outgoing.on('error', reject).end(body)
  return await promise
}
