import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { connectCluster } from './connect.ts'

async function listening(server: http.Server | https.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A kubeconfig file. JSON is YAML. */
async function kubeconfigOf(
  cluster: object,
  user: object,
  context = 'c',
): Promise<{ path: string; write: (user: object) => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'fairlead-kubeconfig-'))
  onTestFinished(async () => await rm(folder, { recursive: true }))
  const path = join(folder, 'config')
  const write = async (user: object): Promise<void> =>
    await writeFile(
      path,
      JSON.stringify({
        clusters: [{ name: 'k', cluster }],
        users: [{ name: 'u', user }],
        contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
        'current-context': context,
      }),
    )
  await write(user)
  return { path, write }
}

const openssl = 'openssl'

/** Creates a self-signed certificate for 127.0.0.1 and its key, both in one PEM text. */
function selfSigned(): string {
  const words =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=fake ' +
    '-addext subjectAltName=IP:127.0.0.1 -keyout -'
  return execFileSync(openssl, words.split(' '), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}

const withoutOpenssl = spawnSync(openssl, ['version']).error !== undefined

test.skipIf(withoutOpenssl)(
  'verifies TLS with the CA of the kubeconfig, strips the newline of a token, and reuses connections',
  async () => {
    const pem = selfSigned()
    const cert = pem.slice(pem.indexOf('-----BEGIN CERTIFICATE-----'))
    const sockets = new Set<unknown>()
    const server = https.createServer({ cert, key: pem }, (request, response) => {
      sockets.add(request.socket)
      response.end(JSON.stringify({ authorization: request.headers.authorization }))
    })
    const address = `https://127.0.0.1:${await listening(server)}`
    const trusted = await kubeconfigOf(
      { server: address, 'certificate-authority-data': Buffer.from(cert).toString('base64') },
      { token: 'secret\n' },
    )
    const api = connectCluster({ kubeconfig: trusted.path })
    expect(api.server).toBe(address)
    await expect(api.request('GET', '/a')).resolves.toEqual({ authorization: 'Bearer secret' })
    await api.request('GET', '/b')
    expect(sockets.size).toBe(1)
    const untrusted = await kubeconfigOf({ server: address }, { token: 'secret' })
    await expect(connectCluster({ kubeconfig: untrusted.path }).request('GET', '/a')).rejects.toThrow(
      'self-signed certificate',
    )
  },
)

test('rereads the kubeconfig after a 401', async () => {
  const server = http.createServer((request, response) => {
    response.writeHead(request.headers.authorization === 'Bearer new' ? 200 : 401).end('{"ok":true}')
  })
  const { path, write } = await kubeconfigOf(
    { server: 'http://elsewhere', 'insecure-skip-tls-verify': true },
    { token: 'old' },
  )
  const api = connectCluster({ kubeconfig: path, server: `http://127.0.0.1:${await listening(server)}` })
  await expect(api.request('GET', '/x')).rejects.toMatchObject({ status: 401 })
  await write({ token: 'new' })
  await expect(api.request('GET', '/x')).resolves.toEqual({ ok: true })
})

test('rejects an unusable kubeconfig in one sentence', async () => {
  const lost = await kubeconfigOf({ server: 'https://a' }, {}, 'nowhere')
  expect(() => connectCluster({ kubeconfig: lost.path })).toThrow(
    `Expected ${lost.path} to name a cluster in its current-context, got \`nowhere\``,
  )
  const odd = await kubeconfigOf({ server: 'localhost' }, {})
  expect(() => connectCluster({ kubeconfig: odd.path })).toThrow(
    "Expected the API server's address to be a URL, got `localhost`",
  )
  expect(() => connectCluster({ kubeconfig: '/nonexistent' })).toThrow('/nonexistent')
})
