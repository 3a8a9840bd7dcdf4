import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { Metrics } from './metrics.ts'

test.each([
  ['/proxyMode', 'iptables'],
  ['/healthz', 'ok'],
])('%s answers as kube-proxy does', async (path, body) => {
  const server = createServer(new Metrics().handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })
  expect([
    answer.status,
    answer.headers.get('content-type'),
    answer.headers.get('x-content-type-options'),
    await answer.text(),
  ]).toEqual([200, 'text/plain; charset=utf-8', 'nosniff', body])
})
