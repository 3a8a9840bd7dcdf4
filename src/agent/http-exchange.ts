// One HTTP request to its end.
import type { ClientRequest, IncomingMessage } from 'node:http'

/** @throws the error of the socket, or {Error} when the request's own timeout has passed. */
export async function exchange(request: ClientRequest, content = ''): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request.on('response', resolve).on('error', reject)
  request.on('timeout', () => request.destroy(new Error('no answer')))
  request.end(content)
  let body = ''
  for await (const chunk of (await promise).setEncoding('utf8') as AsyncIterable<string>) body += chunk
  return { status: (await promise).statusCode ?? 0, body }
}
