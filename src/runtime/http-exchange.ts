// Sends one HTTP request and reads the whole answer.
import type { ClientRequest, IncomingMessage } from 'node:http'

/**
 * Sends the request with its content.
 * @returns status code and body of the answer
 * @throws the socket's error, or {Error} after the request's own timeout
 */
export async function exchange(request: ClientRequest, content = ''): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request.on('response', resolve).on('error', reject)
  request.on('timeout', () => request.destroy(new Error('no answer')))
  request.end(content)
  let body = ''
  for await (const chunk of (await promise).setEncoding('utf8') as AsyncIterable<string>) body += chunk
  return { status: (await promise).statusCode ?? 0, body }
}
