import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ProxyHealth } from '../services/health/proxy-health.ts'
import { type Health, healthHandler } from './health.ts'

async function served(health: Health) {
  const server = createServer(healthHandler(health)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() }
  }
}

test('without a proxy it is live while it answers, and ready when nothing is missing', async () => {
  const missing = ['the first pass']
  const ask = await served({ missing: () => missing })
  expect(await ask('/livez')).toMatchObject({ status: 200, text: 'ok\n' })
  expect(await ask('/readyz?verbose')).toMatchObject({ status: 503, text: 'not ready: the first pass\n' })
  missing.pop()
  expect(await ask('/readyz')).toMatchObject({ status: 200 })
  expect(await ask('/other')).toMatchObject({ status: 404 })
})

test('where it proxies Services it answers as kube-proxy does, on the same port', async () => {
  const answers: string[] = []
  const proxy = new ProxyHealth({ patienceMs: 60_000, eligible: () => false })
  const ask = await served({ missing: () => [], proxy, answered: (path, code) => answers.push(`${path} ${code}`) })
  expect(await ask('/livez')).toMatchObject({ status: 200, type: 'application/json' })
  expect(JSON.parse((await ask('/healthz')).text)).toMatchObject({ nodeEligible: false, healthy: true })
  expect(answers).toEqual(['livez 200', 'healthz 503'])
})
