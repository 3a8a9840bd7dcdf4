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

test('the kubelet knows best, then k3s, and the ClusterIP comes last; nothing of the credentials is taken along', () => {
  const path = kubeconfig(folder(), 'https://kind-control-plane:6443')
  const found = serverCandidates({ KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '8443' }, [
    '/nonexistent/kubelet.conf',
    path,
  ])
  expect(found).toEqual({
    candidates: [
      { server: 'https://kind-control-plane:6443', source: `the kubelet's configuration ${path}` },
      { server: 'https://127.0.0.1:6444', source: "k3s' load balancer on this node" },
      { server: 'https://10.96.0.1:8443', source: 'the Service `kubernetes`' },
    ],
    problems: [],
  })
})

test('a ClusterIP of IPv6 stands in brackets, and port 443 is the usual one', () => {
  expect(serverCandidates({ KUBERNETES_SERVICE_HOST: 'fd00::1' }, []).candidates.at(-1)?.server).toBe(
    'https://[fd00::1]:443',
  )
})

test.each([
  ['nothing that could be read', 'a: [', /kubelet\.conf names none \(.*line 1.*\)$/],
  ['no cluster', '{}', /kubelet\.conf names none \(it is no kubeconfig\)$/],
])("a kubelet's configuration with %s is told of and passed over", (_, content, sentence) => {
  const path = join(folder(), 'kubelet.conf')
  writeFileSync(path, content)
  const { candidates, problems } = serverCandidates({}, [path])
  expect(candidates.map(({ server }) => server)).toEqual(['https://127.0.0.1:6444'])
  expect(problems).toEqual([expect.stringMatching(sentence)])
})

test('an address that is none is told of', () => {
  const path = kubeconfig(folder(), 'control-plane')
  expect(serverCandidates({}, [path]).problems).toEqual([
    `${path} names none (Expected a URL for its current cluster, got \`control-plane\`)`,
  ])
})
