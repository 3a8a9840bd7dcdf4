// The whole on a real k3s in a container: manifests applied, nodes Ready, names resolved, and every pod reaches every
// pod and Service, also after an upgrade of the agents.
//
// Skipped where Docker does not answer or has not the two images already; `docker pull rancher/k3s:...` and `make
// image` bring them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { K3sContainer, type StartedK3sContainer } from '@testcontainers/k3s'
import { execa, execaSync } from 'execa'
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { kubectlMissing } from '../deploy/folders.ts'
import { type Cluster, image, install, realCluster, restartAgents } from './cluster.ts'
import { askAll, startWorkload } from './matrix.ts'

const k3s = process.env['K3S_IMAGE'] ?? 'rancher/k3s:v1.36.3-k3s1'
/** As deploy/k3s/config.yaml has it; the rest of k3s' own is not needed here. */
const server = [
  'server',
  '--flannel-backend=none',
  '--disable-network-policy',
  '--disable-kube-proxy',
  '--disable=traefik,servicelb,metrics-server,local-storage',
]

function missing(): string | undefined {
  if (kubectlMissing !== undefined) return kubectlMissing
  if (execaSync('docker', ['info'], { reject: false }).exitCode !== 0) return 'Docker does not answer'
  const absent = [k3s, image].filter(
    (name) => execaSync('docker', ['image', 'inspect', name], { reject: false }).exitCode !== 0,
  )
  return absent.length === 0 ? undefined : `Docker has no image ${absent.join(' and ')}`
}

const reason = missing()
// oxlint-disable-next-line vitest/valid-title -- the title says why it is skipped
describe.skipIf(reason !== undefined)(reason === undefined ? 'k3s' : `k3s (skipped: ${reason})`, () => {
  let dir: string
  let container: StartedK3sContainer
  let cluster: Cluster

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'fairlead-k3s-'))
    const archive = join(dir, 'fairlead.tar')
    await execa('docker', ['save', '--output', archive, image])
    // What lies there when k3s starts is in its containerd.
    container = await new K3sContainer(k3s)
      .withCommand(server)
      .withCopyFilesToContainer([{ source: archive, target: '/var/lib/rancher/k3s/agent/images/fairlead.tar' }])
      .start()
    // What a node's init system does and Docker does not: a mount made later reaches those who ask for it
    // (HostToContainer).
    await container.exec(['mount', '--make-rshared', '/'])
    const kubeconfig = join(dir, 'kubeconfig')
    writeFileSync(kubeconfig, container.getKubeConfig(), { mode: 0o600 })
    cluster = realCluster(kubeconfig)
  }, 300_000)
  afterAll(async () => {
    await container?.stop()
    rmSync(dir, { recursive: true })
  })

  test('deploy/k3s makes the node Ready and CoreDNS run', async () => {
    onTestFailed(
      async () =>
        void process.stderr.write(
          `${await cluster.kubectl(['--namespace', 'kube-system', 'logs', 'daemonset/fairlead', '--all-containers', '--tail=200'])}\n`,
        ),
    )
    await install(cluster, 'k3s')
    expect(
      await cluster.kubectl([
        'get',
        'nodes',
        '-o',
        'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}',
      ]),
    ).toBe('True')
  }, 600_000)

  test('every pod reaches every pod and Service, and still does when the agents were replaced', async () => {
    const facts = await startWorkload(cluster)
    expect((await askAll(cluster, facts)).complaints).toEqual([])
    await restartAgents(cluster)
    expect((await askAll(cluster, facts)).complaints).toEqual([])
  }, 600_000)
})
