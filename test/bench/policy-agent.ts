// A real agent in a cluster of policies, fed by the lab's API server: from its start to all verdicts in force, its
// memory, and what it costs while nothing happens.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../../src/cluster/api-connection.ts'
import { AgentNamespace, type IdleCosts, idleCosts } from './agent-namespace.ts'
import { each, startBenchApiServer } from './api-server.ts'
import { policyCluster, type PolicyClusterSize, type PolicyObjects } from './policy-cluster.ts'

const dir = '/run/bench-policy'
const longestStartMs = 120_000
const settleMs = 30_000
const idleSeconds = 60

export interface PolicyAgentCosts extends IdleCosts {
  readonly startSeconds: number
}

export async function policyAgent(size: PolicyClusterSize): Promise<PolicyAgentCosts> {
  await using server = await startBenchApiServer(dir, '10.100.0.0/20')
  const { requests } = policyCluster(new Manifests(), size, ['bench', 'elsewhere']).cluster
  // Namespaces come first in the list, and have to be there first.
  const namespaces = requests.filter(({ path }) => path === '/api/v1/namespaces')
  for (const some of [namespaces, requests.slice(namespaces.length)])
    await each(some.length, async (n) => await create(server.api, some[n - 1]!))
  using node = new AgentNamespace('bench-agent', dir)
  const begin = performance.now()
  await using agent = node.startAgent()
  // All of it comes in one transaction.
  while (!node.exec('nft', ['list', 'tables']).includes('table inet fairlead\n')) {
    if (performance.now() - begin > longestStartMs)
      throw new Error(
        `the agent has written no policy table within ${longestStartMs / 1000} s; its log is ${dir}/agent.log`,
      )
    await sleep(50)
  }
  const startSeconds = (performance.now() - begin) / 1000
  await sleep(settleMs)
  return { startSeconds, ...(await idleCosts(agent, idleSeconds)) }
}

interface Creation {
  readonly path: string
  readonly body: {
    readonly [field: string]: unknown
    readonly metadata: { readonly [field: string]: unknown; readonly name: string | undefined }
  }
  /** Written afterwards, as the kubelet does: what comes with a new object is not kept. */
  readonly status?: object
}

async function create(api: ApiConnection, { path, body, status }: Creation): Promise<void> {
  await api.request('POST', path, { body })
  if (status !== undefined)
    await api.request('PATCH', `${path}/${body.metadata.name}/status`, {
      body: { status },
      contentType: 'application/merge-patch+json',
    })
}

/** As a user, and the controllers and kubelets, would write them. */
class Manifests implements PolicyObjects {
  readonly requests: Creation[] = []

  namespace(name: string, labels: string): void {
    this.requests.push({
      path: '/api/v1/namespaces',
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: labelsOf(labels) } },
    })
  }

  pod(key: string, { labels, node, ports, address }: Parameters<PolicyObjects['pod']>[1]): void {
    const [namespace, name] = key.split('/')
    const status = {
      phase: 'Running',
      podIP: address,
      podIPs: [{ ip: address }],
      hostIP: '192.168.99.1',
      startTime: '2026-01-01T00:00:00Z',
    }
    const container = {
      name: 'main',
      image: 'registry.example/app:1',
      ports,
      resources: { requests: { cpu: '10m', memory: '16Mi' } },
    }
    this.requests.push({
      path: `/api/v1/namespaces/${namespace}/pods`,
      body: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace, labels: labelsOf(labels) },
        spec: { nodeName: node, containers: [container] },
      },
      status,
    })
  }

  policy(key: string, spec: object): void {
    const [namespace, name] = key.split('/')
    this.requests.push({
      path: `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`,
      body: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace }, spec },
    })
  }
}

function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(text.split(',').map((pair) => pair.split('=') as [string, string]))
}
