// Policies that cannot mean what they say: they select no pod, or name a port that no pod has. Nothing is wrong with
// such an object, so nothing refuses it, and its author believes that it protects something. Pure.
import { selects } from '../cluster/label-selector.ts'
import type { ClusterNetworkPolicy, PolicyRule } from '../cluster/network-policy.ts'
import type { ClusterPod } from '../cluster/pod.ts'

export interface IdlePolicy {
  /** "ns/name" */
  readonly policy: string
  readonly problem: string
  readonly remedy: string
}

export function idlePolicies(policies: Iterable<ClusterNetworkPolicy>, pods: Iterable<ClusterPod>): IdlePolicy[] {
  const living = [...pods].filter(
    ({ hostNetwork, phase }) => !hostNetwork && phase !== 'Succeeded' && phase !== 'Failed',
  )
  const ofNamespace = Map.groupBy(living, ({ namespace }) => namespace)
  return [...policies].flatMap((policy) => {
    const name = `${policy.namespace}/${policy.name}`
    const selected = (ofNamespace.get(policy.namespace) ?? []).filter(({ labels }) =>
      selects(policy.podSelector, labels),
    )
    if (selected.length === 0)
      return [
        {
          policy: name,
          problem: `NetworkPolicy ${name} selects no pod`,
          remedy: `compare its podSelector with kubectl -n ${policy.namespace} get pods --show-labels, or delete it`,
        },
      ]
    // An ingress rule's port is one of the pods that it protects; an egress rule's is one of those that they speak to.
    return [...missing(policy.ingress, selected), ...missing(policy.egress, living)].map((port) => ({
      policy: name,
      problem: `NetworkPolicy ${name} names port ${port}, which no pod that it is about has: it admits nothing there`,
      remedy: 'give the container port that name and protocol, or write its number into the policy',
    }))
  })
}

function missing(rules: readonly PolicyRule[] = [], pods: readonly ClusterPod[]): string[] {
  const named = rules.flatMap(({ ports = [] }) => ports).flatMap((port) => ('name' in port ? [port] : []))
  const lacking = named.filter(
    ({ name, protocol }) =>
      !pods.some(({ ports }) => ports.some((port) => port.name === name && port.protocol === protocol)),
  )
  return [...new Set(lacking.map(({ name, protocol }) => `${name}/${protocol}`))]
}
