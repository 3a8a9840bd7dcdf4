// Where a pod may reach the API server while Services do not work yet, best first. The address that Kubernetes puts
// into every pod is a ClusterIP, which leads nowhere until somebody has programmed it; the node itself knows better
// ones.
import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import * as z from 'zod'

export interface ServerCandidate {
  /** "https://HOST:PORT" */
  readonly server: string
  /** Who says so, for people. */
  readonly source: string
}

/** Written by kubeadm (kind too), k3s and RKE2 for their kubelets. */
const kubeletConfigs = [
  '/etc/kubernetes/kubelet.conf',
  '/var/lib/rancher/k3s/agent/kubelet.kubeconfig',
  '/var/lib/rancher/rke2/agent/kubelet.kubeconfig',
]
/** Each node of k3s, server or agent, forwards it to the servers there are. */
const k3sBalancer: ServerCandidate = { server: 'https://127.0.0.1:6444', source: "k3s' load balancer on this node" }

/** @returns candidates, and a sentence for each file that is there and is of no use. @throws nothing */
export function serverCandidates(
  environment: NodeJS.ProcessEnv,
  kubeconfigs: readonly string[] = kubeletConfigs,
): { candidates: readonly ServerCandidate[]; problems: readonly string[] } {
  const problems: string[] = []
  const kubelets = kubeconfigs.flatMap((path) => {
    try {
      return [{ server: serverIn(path), source: `the kubelet's configuration ${path}` }]
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT') problems.push(`${path} names none (${message.split('\n')[0]})`)
      return []
    }
  })
  return { candidates: [...kubelets, k3sBalancer, ...clusterIp(environment)], problems }
}

/**
 * What of a kubeconfig tells the server: the kubelet may do more than we should, and its credentials are left where
 * they are.
 */
const kubeconfig = z.object({
  'current-context': z.string(),
  contexts: z.array(z.object({ name: z.string(), context: z.object({ cluster: z.string() }) })),
  clusters: z.array(z.object({ name: z.string(), cluster: z.object({ server: z.string() }) })),
})

function serverIn(path: string): string {
  const { data, success } = kubeconfig.safeParse(parseYaml(readFileSync(path, 'utf8')))
  if (!success) throw new Error('it is no kubeconfig')
  const { 'current-context': current, contexts, clusters } = data
  const name = contexts.find((context) => context.name === current)?.context.cluster
  const server = clusters.find((cluster) => cluster.name === name)?.cluster.server ?? ''
  if (!URL.canParse(server)) throw new Error(`Expected a URL for its current cluster, got \`${server}\``)
  return server
}

function clusterIp({
  KUBERNETES_SERVICE_HOST: host,
  KUBERNETES_SERVICE_PORT: port = '443',
}: NodeJS.ProcessEnv): ServerCandidate[] {
  if (host === undefined) return []
  return [{ server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`, source: 'the Service `kubernetes`' }]
}
