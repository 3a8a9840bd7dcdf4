import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { connectInCluster } from './connect-in-cluster.ts'

async function serviceAccount(token: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-account-'))
  onTestFinished(async () => await rm(directory, { recursive: true }))
  await writeFile(join(directory, 'token'), token)
  await writeFile(join(directory, 'ca.crt'), '')
  return directory
}

async function serverThatWants(authorization: () => string): Promise<string> {
  const server = http.createServer((request, response) => {
    response.writeHead(request.headers.authorization === authorization() ? 200 : 401).end('{"ok":true}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('strips the newline of the token, and rereads the token after a 401', async () => {
  let wanted = 'Bearer first'
  const directory = await serviceAccount('first\n')
  const api = connectInCluster({ directory, server: await serverThatWants(() => wanted) })
  await expect(api.request('GET', '/x')).resolves.toEqual({ ok: true })
  wanted = 'Bearer second'
  await expect(api.request('GET', '/x')).rejects.toMatchObject({ status: 401 })
  await writeFile(join(directory, 'token'), 'second')
  await expect(api.request('GET', '/x')).resolves.toEqual({ ok: true })
})

test('says which file is missing outside of a pod', () => {
  expect(() => connectInCluster({ directory: '/nonexistent' })).toThrow(
    'Expected a kubeconfig or, in a pod, /nonexistent/token, found neither: name a kubeconfig file',
  )
})
