// A small HTTP server of the agent: a route table of GETs on a TCP address, or one POST on a unix socket.
import { createServer, type RequestListener } from 'node:http'
import type { ListenOptions } from 'node:net'

/** Listens until disposed. @throws the listen error (EADDRINUSE, EACCES), with the address in its message. */
export async function listen(at: ListenOptions, handler: RequestListener): Promise<AsyncDisposable> {
  const server = createServer(handler)
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

/** "127.0.0.1:10249" or "[::1]:10249" or ":10249" as node:net takes it. */
export function parseListenAddress(text: string): { host: string | undefined; port: number } {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, colon).replaceAll(/[[\]]/g, '')
  return { host: host === '' ? undefined : host, port: Number(text.slice(colon + 1)) }
}
