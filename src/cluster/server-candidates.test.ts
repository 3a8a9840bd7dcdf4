import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { serverCandidates } from './server-candidates.ts'

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'fairlead-servers-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

function kubeconfig(dir: string, server: string): string {
  const path = join(dir, 'kubelet.conf')
  writeFileSync(
    path,
    JSON.stringify({
      clusters: [{ name: 'k', cluster: { server } }],
      users: [{ name: 'u', user: { token: 'secret' } }],
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      'current-context': 'c',
    }),
  )
  return path
}

test('lists the kubelet address first, then k3s, then the ClusterIP, and reads no credentials', () => {
  const path = kubeconfig(folder(), 'https://kind-control-plane:6443')
  const found = serverCandidates({ KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '8443' }, [
    '/nonexistent/kubelet.conf',
    path,
  ])
  expect(found).toEqual({
    candidates: [
      { server: 'https://kind-control-plane:6443', source: `the kubelet's configuration ${path}`, kind: 'named' },
      { server: 'https://127.0.0.1:6444', source: 'the k3s load balancer on this node', kind: 'guess' },
      { server: 'https://10.96.0.1:8443', source: 'the Service `kubernetes`', kind: 'service' },
    ],
    problems: [],
  })
})

test('writes an IPv6 ClusterIP in brackets, and defaults to port 443', () => {
  expect(serverCandidates({ KUBERNETES_SERVICE_HOST: 'fd00::1' }, []).candidates.at(-1)?.server).toBe(
    'https://[fd00::1]:443',
  )
})

test.each([
  ['invalid YAML', 'a: [', /kubelet\.conf has no API server address \(.*line 1.*\)$/],
  ['no cluster', '{}', /kubelet\.conf has no API server address \(not a kubeconfig\)$/],
])('reports and skips a kubelet configuration with %s', (_, content, sentence) => {
  const path = join(folder(), 'kubelet.conf')
  writeFileSync(path, content)
  const { candidates, problems } = serverCandidates({}, [path])
  expect(candidates.map(({ server }) => server)).toEqual(['https://127.0.0.1:6444'])
  expect(problems).toEqual([expect.stringMatching(sentence)])
})

test('reports a server that is not a URL', () => {
  const path = kubeconfig(folder(), 'control-plane')
  expect(serverCandidates({}, [path]).problems).toEqual([
    `${path} has no API server address (Expected a URL for its current cluster, got \`control-plane\`)`,
  ])
})
