import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
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

test('the token goes without its newline, and after 401 it is read again', async () => {
  let wanted = 'Bearer first'
  const directory = await serviceAccount('first\n')
  const api = connectInCluster({ directory, server: await serverThatWants(() => wanted) })
  await expect(api.request('GET', '/x')).resolves.toEqual({ ok: true })
  wanted = 'Bearer second'
  await expect(api.request('GET', '/x')).rejects.toMatchObject({ status: 401 })
  await writeFile(join(directory, 'token'), 'second')
  await expect(api.request('GET', '/x')).resolves.toEqual({ ok: true })
})

test('the address is the one that Kubernetes gives to pods, also in IPv6', async () => {
  const directory = await serviceAccount('t')
  onTestFinished(() => void vi.unstubAllEnvs())
  vi.stubEnv('KUBERNETES_SERVICE_PORT', '6443')
  vi.stubEnv('KUBERNETES_SERVICE_HOST', '10.96.0.1')
  expect(connectInCluster({ directory }).server).toBe('https://10.96.0.1:6443')
  vi.stubEnv('KUBERNETES_SERVICE_HOST', 'fd00::1')
  expect(connectInCluster({ directory }).server).toBe('https://[fd00::1]:6443')
})

test('outside of a pod it says what is missing', async () => {
  expect(() => connectInCluster({ directory: '/nonexistent' })).toThrow('Expected a kubeconfig or, in a pod, /nonexistent/token, found neither: name a kubeconfig file')
  vi.stubEnv('KUBERNETES_SERVICE_HOST', undefined)
  onTestFinished(() => void vi.unstubAllEnvs())
  const directory = await serviceAccount('t')
  expect(() => connectInCluster({ directory })).toThrow('Expected KUBERNETES_SERVICE_HOST to be set in a pod')
})
