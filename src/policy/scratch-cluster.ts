// A cluster in memory for tests and benchmarks: objects as the reflectors keep them, made from as little as a test has
// to say.
import type { ClusterNamespace } from '../cluster/namespace.ts'
import type { ClusterNetworkPolicy } from '../cluster/network-policy.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { ClusterPod } from '../cluster/pod.ts'
import { projectNamespace } from '../cluster/project-namespace.ts'
import { projectNetworkPolicy } from '../cluster/project-network-policy.ts'
import { projectNode } from '../cluster/project-node.ts'
import { projectPod } from '../cluster/project-pod.ts'
import { parseAddress } from '../net/address.ts'
import type { LocalPod } from './local-pod.ts'
import type { PolicySnapshots } from './policies.ts'

export interface ScratchPod {
  readonly address?: string | readonly string[]
  /** "app=web,tier=front" */
  readonly labels?: string
  readonly node?: string
  readonly ports?: readonly object[]
  readonly phase?: string
  readonly hostNetwork?: boolean
}

export class ScratchCluster {
  readonly #policies = new Map<string, ClusterNetworkPolicy>()
  readonly #namespaces = new Map<string, ClusterNamespace>()
  readonly #pods = new Map<string, ClusterPod>()
  readonly #nodes = new Map<string, ClusterNode>()
  /** What was said of policies that make no sense. */
  readonly problems: string[] = []

  /** @param spec as in a manifest. @returns this, as do the others */
  policy(key: string, spec: object): this {
    const [namespace, name] = key.split('/')
    this.#policies.set(
      ...projectNetworkPolicy({ metadata: { namespace, name }, spec }, (problem) => this.problems.push(problem)),
    )
    return this
  }

  namespace(name: string, labels = ''): this {
    this.#namespaces.set(...projectNamespace({ metadata: { name, labels: labelsOf(labels) } }))
    return this
  }

  pod(
    key: string,
    { address = [], labels = '', node = 'n1', ports = [], phase = 'Running', hostNetwork = false }: ScratchPod,
  ): this {
    const [namespace, name] = key.split('/')
    const podIPs = [address].flat().map((ip) => ({ ip }))
    const raw = {
      metadata: { namespace, name, uid: `uid of ${key}`, labels: labelsOf(labels) },
      spec: { nodeName: node, hostNetwork, containers: [{ ports }] },
      status: { phase, podIPs },
    }
    this.#pods.set(...projectPod(raw, (problem) => this.problems.push(problem)))
    return this
  }

  node(name: string, address: string, podCidr: string): this {
    this.#nodes.set(
      ...projectNode(
        { metadata: { name }, spec: { podCIDR: podCidr }, status: { addresses: [{ type: 'InternalIP', address }] } },
        (problem) => this.problems.push(problem),
      ),
    )
    return this
  }

  remove(kind: 'policies' | 'namespaces' | 'pods', key: string): this {
    const maps = { policies: this.#policies, namespaces: this.#namespaces, pods: this.#pods }
    maps[kind].delete(key)
    return this
  }

  /** As the reflectors give them: other maps, the same objects. */
  get snapshots(): PolicySnapshots {
    return {
      policies: new Map(this.#policies),
      namespaces: new Map(this.#namespaces),
      pods: new Map(this.#pods),
      nodes: new Map(this.#nodes),
    }
  }
}

/** A pod that this node has wired. */
export function wired(key: string, ...addresses: readonly string[]): LocalPod {
  return {
    key,
    namespace: key.split('/')[0] ?? '',
    uid: undefined,
    addresses: addresses.map(parseAddress),
    linkLocal: undefined,
    port: undefined,
  }
}

function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split(',')
      .filter(Boolean)
      .map((pair) => pair.split('=') as [string, string]),
  )
}
