import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ApiConnection, type CredentialOptions } from './api-connection.ts'
import { ApiError } from './api-error.ts'

const requestOptions = async (): Promise<CredentialOptions> => ({ headers: { Authorization: 'Bearer t' } })

/** Starts a server with this handler and connects to it. */
async function serve(
  answer: (request: http.IncomingMessage, response: http.ServerResponse) => unknown,
  prefix = '',
): Promise<ApiConnection> {
  const server = http.createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return new ApiConnection({
    servers: {
      candidates: [
        {
          server: `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`,
          source: 'the test',
          kind: 'named' as const,
        },
      ],
      problems: [],
    },
    requestOptions,
    reload: () => {},
  })
}

async function bodyOf(request: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function linesOf(lines: AsyncIterable<Buffer>): Promise<string[]> {
  const texts: string[] = []
  for await (const line of lines) texts.push(line.toString())
  return texts
}

const limits = { signal: new AbortController().signal, headersTimeoutMs: 20_000, deadlineMs: 20_000 }

test('sends method, path, query, headers and body of a write unchanged', async () => {
  const api = await serve(async (request, response) => {
    const { method, url, headers } = request
    response.end(
      JSON.stringify({
        method,
        url,
        type: headers['content-type'],
        authorization: headers.authorization,
        body: JSON.parse(await bodyOf(request)) as unknown,
      }),
    )
  }, '/k8s/')
  const answer = await api.request('PATCH', '/api/v1/nodes/ü', {
    query: { fieldManager: 'a&b', dryRun: undefined },
    body: { metadata: { labels: { x: '→' } } },
    contentType: 'application/merge-patch+json',
  })
  expect(answer).toEqual({
    method: 'PATCH',
    url: '/k8s/api/v1/nodes/%C3%BC?fieldManager=a%26b',
    type: 'application/merge-patch+json',
    authorization: 'Bearer t',
    body: { metadata: { labels: { x: '→' } } },
  })
})

test('returns undefined for an empty response', async () => {
  const api = await serve((_, response) => response.end())
  await expect(api.request('DELETE', '/x')).resolves.toBeUndefined()
})

test('throws what the Status object of a rejection says', async () => {
  const status = { kind: 'Status', code: 409, reason: 'AlreadyExists', message: 'pods "a" already exists' }
  const api = await serve((_, response) => response.writeHead(409, { 'retry-after': '3' }).end(JSON.stringify(status)))
  const error = await api.request('POST', '/x', { body: {} }).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(ApiError)
  expect(error).toMatchObject({
    status: 409,
    reason: 'AlreadyExists',
    message: 'pods "a" already exists',
    retryAfter: 3,
  })
})

test('names the request and the start of the body when a proxy rejects it', async () => {
  const api = await serve((_, response) => response.writeHead(502).end('<h1>Bad Gateway</h1>\n'))
  await expect(api.request('GET', '/x')).rejects.toThrow(
    /^GET http:.*\/x was answered with 502: <h1>Bad Gateway<\/h1>$/,
  )
})

test('reuses one connection for several requests', async () => {
  const ports = new Set<number | undefined>()
  const api = await serve((request, response) => {
    ports.add(request.socket.remotePort)
    response.end('{}')
  })
  for (let i = 0; i < 5; i++) await api.request('GET', '/x')
  expect(ports.size).toBe(1)
})

test('names the request when the server does not answer', async () => {
  const api = await serve(() => {})
  await expect(api.request('GET', '/x', { headersTimeoutMs: 20 })).rejects.toThrow(
    /GET .*\/x was not answered within 0\.02 s/,
  )
})

test('cuts off a response that does not end', async () => {
  const api = await serve((_, response) => response.write('{'))
  await expect(api.request('GET', '/x', { deadlineMs: 20 })).rejects.toThrow(/was not complete within 0\.02 s/)
})

test('throws instead of returning half a response', async () => {
  const api = await serve((_, response) => response.write('{"a":1}', () => response.destroy()))
  await expect(api.request('GET', '/x')).rejects.toThrow(/GET .*\/x broke off before its answer was complete/)
  const { lines } = await api.stream('/x', {}, limits)
  await expect(linesOf(lines)).rejects.toThrow(/GET .*\/x broke off before its answer was complete/)
})

test('streams complete lines for any status', async () => {
  const api = await serve((_, response) => {
    response.writeHead(418, { 'retry-after': '9' })
    response.write('one\ntw')
    response.end('o\nrest')
  })
  const { status, retryAfter, lines } = await api.stream('/x', {}, limits)
  expect([status, retryAfter]).toEqual([418, 9])
  expect(await linesOf(lines)).toEqual(['one', 'two', 'rest'])
})

test('closes the connection when the signal fires and when the loop is left', async () => {
  const closed: string[] = []
  const api = await serve((request, response) => {
    response.write('one\n')
    response.on('close', () => closed.push(request.url ?? ''))
  })
  const stop = new AbortController()
  const stopped = await api.stream('/stopped', {}, { ...limits, signal: stop.signal })
  await expect(
    (async () => {
      for await (const _ of stopped.lines) stop.abort()
    })(),
  ).rejects.toThrow('broke off')
  const left = await api.stream('/left', {}, limits)
  for await (const _ of left.lines) break
  await expect.poll(() => closed, { timeout: 20_000 }).toEqual(['/stopped', '/left'])
})
