// A small HTTP server of the agent: a route table of GETs on a TCP address, or one POST on a unix socket.
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { ListenOptions } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Listens until disposed.
 * @param refusal a JSON document, the answer to what is not HTTP or breaks off
 * @throws the listen error (EADDRINUSE, EACCES), with the address in its message
 */
export async function listen(at: ListenOptions, handler: RequestListener, refusal = ''): Promise<AsyncDisposable> {
  // Node's own refusal of a request without Host has no document.
  const server = createServer({ requireHostHeader: false }, handler)
  refuseWhatIsNotHttp(server, refusal)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, resolve)
  })
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
        // Answers under way are given a moment; a watcher that never reads must not hold the agent's end.
        setTimeout(() => server.closeAllConnections(), 1000).unref()
      }),
  }
}

/**
 * "127.0.0.1:10249" or "[::1]:10249" or ":10249" as node:net takes it. 0.0.0.0 is every address of both families, as in
 * kube-proxy (Go), whose default is what load balancers ask over IPv6 too.
 */
export function parseListenAddress(text: string): { host: string | undefined; port: number } {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, colon).replaceAll(/[[\]]/g, '')
  return { host: host === '' || host === '0.0.0.0' ? undefined : host, port: Number(text.slice(colon + 1)) }
}

/**
 * One answer for one connection: what follows a request that was read to its end is ignored, and its own answer is the
 * only one.
 */
function refuseWhatIsNotHttp(server: Server, refusal: string): void {
  const latest = new WeakMap<Duplex, ServerResponse>()
  const refused = new WeakSet<Duplex>()
  server.on('request', (request, response) => latest.set(request.socket, response))
  server.on('clientError', (_, socket) => {
    // What still comes is read and dropped: a connection that is closed on unread bytes is reset, and the client may
    // lose the answer.
    if (refused.has(socket)) return
    const response = latest.get(socket)
    if (response?.req.complete === true && !response.writableFinished) response.once('finish', () => socket.end())
    else if (socket.writable && response?.headersSent !== true) {
      refused.add(socket)
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(refusal)}\r\nConnection: close\r\n\r\n${refusal}`,
      )
      setTimeout(() => socket.destroy(), 1000).unref()
    } else socket.destroy()
  })
}
