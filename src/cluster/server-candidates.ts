// Lists addresses at which a pod may reach the API server before Services work, best first. The address in a pod's
// environment is a ClusterIP, which leads nowhere until a service proxy has programmed it. The node has better ones.
import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import * as z from 'zod'

export interface ServerCandidate {
  /** "https://HOST:PORT" */
  readonly server: string
  /** Where the address comes from, for messages. */
  readonly source: string
  /**
   * `named`: the operator or the node says that the server is there. `guess`: it may be there. `service`: a ClusterIP,
   * which Services lead to where the server is.
   */
  readonly kind: 'named' | 'guess' | 'service'
}

/** Kubeconfig files that kubeadm (also in kind), k3s and RKE2 write for the kubelet. */
const kubeletConfigs = [
  '/etc/kubernetes/kubelet.conf',
  '/var/lib/rancher/k3s/agent/kubelet.kubeconfig',
  '/var/lib/rancher/rke2/agent/kubelet.kubeconfig',
]
/** Every k3s node, server or agent, forwards this address to the servers. */
const k3sBalancer: ServerCandidate = {
  server: 'https://127.0.0.1:6444',
  source: 'the k3s load balancer on this node',
  kind: 'guess',
}

/**
 * Lists the candidates. Never throws.
 * @returns candidates, and a sentence for each existing file that cannot be used.
 */
export function serverCandidates(
  environment: NodeJS.ProcessEnv,
  kubeconfigs: readonly string[] = kubeletConfigs,
): { candidates: readonly ServerCandidate[]; problems: readonly string[] } {
  const problems: string[] = []
  const kubelets = kubeconfigs.flatMap((path) => {
    try {
      return [{ server: serverIn(path), source: `the kubelet's configuration ${path}`, kind: 'named' as const }]
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT') problems.push(`${path} has no API server address (${message.split('\n')[0]})`)
      return []
    }
  })
  return { candidates: [...kubelets, k3sBalancer, ...clusterIp(environment)], problems }
}

/**
 * The part of a kubeconfig that names the server. The kubelet's credentials are not read: they allow more than we need.
 */
const kubeconfig = z.object({
  'current-context': z.string(),
  contexts: z.array(z.object({ name: z.string(), context: z.object({ cluster: z.string() }) })),
  clusters: z.array(z.object({ name: z.string(), cluster: z.object({ server: z.string() }) })),
})

function serverIn(path: string): string {
  const { data, success } = kubeconfig.safeParse(parseYaml(readFileSync(path, 'utf8')))
  if (!success) throw new Error('not a kubeconfig')
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
  return [
    {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      source: 'the Service `kubernetes`',
      kind: 'service',
    },
  ]
}
