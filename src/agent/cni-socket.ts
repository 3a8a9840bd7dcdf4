// The unix socket that the CNI binary talks to: the request's body goes to the pod network as it came, the answer goes
// back as it is. People's programs ask it for the agent's status, and for names of the cluster.
import { rm } from 'node:fs/promises'
import type { IncomingMessage, RequestListener } from 'node:http'
import type { Logger } from 'pino'
import { listen } from '../runtime/http-listener.ts'
import { inodeOf } from '../host/node-lock.ts'

/** A netconf is a few hundred bytes; the limit only keeps a runaway client from filling our memory. */
const maxBodyBytes = 4 << 20

export interface SocketHandler {
  /** What `GET /status` answers, as JSON. */
  status(): Promise<object>
  /** What `GET /lookup?of=X` answers, as JSON. @param of names or addresses, as often as `of` was given */
  lookup(of: readonly string[]): object
  handle(body: Buffer): Promise<{ status: number; body: string }>
}

/** Serves until disposed. The socket is root's alone (the directory is 0700). */
export async function serveCni(path: string, handler: SocketHandler, log: Logger): Promise<CniSocket> {
  const socket = new CniSocket(path, (request, response) => {
    answer(request, handler).then(
      ({ status, body }) =>
        response
          .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
          .end(body),
      (error: unknown) => {
        log.warn({ err: error }, 'a CNI request could not be read')
        response
          .writeHead(400, {
            connection: 'close',
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(unreadable),
          })
          .end(unreadable)
      },
    )
  })
  await socket.renew()
  return socket
}

export class CniSocket implements AsyncDisposable {
  readonly #path: string
  readonly #serve: RequestListener
  #listener: AsyncDisposable | undefined
  #inode: number | undefined

  constructor(path: string, serve: RequestListener) {
    this.#path = path
    this.#serve = serve
  }

  /** Listens where the socket is not there, or is not ours. @returns whether it was so. */
  async renew(): Promise<boolean> {
    if (this.#inode !== undefined && inodeOf(this.#path) === this.#inode) return false
    // Closing removes whatever lies at the path, so it comes first; the requests under way have a second to be
    // answered.
    const closed = this.#listener?.[Symbol.asyncDispose]()
    // The lock is ours by now, so a socket that lies here belongs to a predecessor that is gone.
    await rm(this.#path, { force: true })
    this.#listener = await listen({ path: this.#path }, this.#serve, unreadable)
    this.#inode = inodeOf(this.#path)
    await closed
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]()
  }
}

const unreadable = JSON.stringify({
  cniVersion: '1.0.0',
  code: 5,
  msg: 'the agent could not read the request',
  details: 'expected POST /cni with a body of at most 4 MiB, GET /status or GET /lookup',
})

async function answer(request: IncomingMessage, handler: SocketHandler): Promise<{ status: number; body: string }> {
  if (request.method === 'GET' && request.url === '/status')
    return { status: 200, body: JSON.stringify(await handler.status()) }
  if (request.method === 'GET' && request.url?.startsWith('/lookup?') === true)
    return {
      status: 200,
      body: JSON.stringify(handler.lookup(new URL(request.url, 'http://agent').searchParams.getAll('of'))),
    }
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // Read on to the end: leaving the loop would close the connection, and the client would never hear why.
    if (bytes <= maxBodyBytes) chunks.push(chunk)
  }
  if (bytes > maxBodyBytes) throw new RangeError(`body of more than ${maxBodyBytes} bytes`)
  if (request.method !== 'POST' || request.url !== '/cni')
    throw new TypeError(`expected POST /cni, GET /status or GET /lookup, got ${request.method} ${request.url}`)
  return handler.handle(Buffer.concat(chunks))
}
