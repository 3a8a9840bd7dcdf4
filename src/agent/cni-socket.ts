// The unix socket that the CNI binary talks to: the request's body goes to the pod network as it came, the answer goes back as it is.
import { rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import type { Logger } from 'pino'
import { listen } from './http-listener.ts'

/** A netconf is a few hundred bytes; the limit only keeps a runaway client from filling our memory. */
const maxBodyBytes = 4 << 20

export interface CniHandler {
  handle(body: Buffer): Promise<{ status: number; body: string }>
}

/** Serves until disposed. The socket is root's alone (the directory is 0700). */
export async function serveCni(path: string, handler: CniHandler, log: Logger): Promise<AsyncDisposable> {
  // The lock is ours by now, so a socket that lies here belongs to a predecessor that is gone.
  await rm(path, { force: true })
  return listen({ path }, (request, response) => {
    answer(request, handler).then(
      ({ status, body }) => response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body),
      (error: unknown) => {
        log.error({ err: error }, 'a CNI request could not be read')
        response.writeHead(400, { connection: 'close', 'content-length': Buffer.byteLength(unreadable) }).end(unreadable)
      },
    )
  })
}

const unreadable = JSON.stringify({ cniVersion: '1.0.0', code: 5, msg: 'the agent could not read the request', details: 'expected POST /cni with a body of at most 4 MiB' })

async function answer(request: IncomingMessage, handler: CniHandler): Promise<{ status: number; body: string }> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // Read on to the end: leaving the loop would close the connection, and the client would never hear why.
    if (bytes <= maxBodyBytes) chunks.push(chunk)
  }
  if (bytes > maxBodyBytes) throw new RangeError(`body of more than ${maxBodyBytes} bytes`)
  if (request.method !== 'POST' || request.url !== '/cni') throw new TypeError(`expected POST /cni, got ${request.method} ${request.url}`)
  return handler.handle(Buffer.concat(chunks))
}
