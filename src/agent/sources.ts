// The parts of a running agent that others read: its gauges and its status.
import type { ClusterNode } from '../cluster/node.ts'
import type { ClusterPod } from '../cluster/pod.ts'
import type { Reflector } from '../cluster/reflector.ts'
import type { PodNetwork } from '../pods/pod-network.ts'
import type { PodRules } from '../pods/rules/rules.ts'
import type { NetworkPass } from './network-pass.ts'
import type { NodeReport } from './node-events.ts'
import type { PolicyEnforcer } from './policy-enforcer.ts'
import type { Repairs } from '../runtime/repairs.ts'
import type { ServiceProxy } from './service-proxy.ts'

export interface Sources {
  /** What this process may not do: a sentence each. */
  readonly lacking: readonly string[]
  readonly repairs: Repairs
  readonly nodes: Reflector<ClusterNode>
  readonly pods: Reflector<ClusterPod>
  readonly podNetwork: PodNetwork
  readonly rules: PodRules
  readonly pass: NetworkPass
  readonly report: NodeReport
  /** Undefined where policies are not ours to enforce. */
  readonly policy: PolicyEnforcer | undefined
  /** Undefined where Services are another's. */
  readonly serviceProxy: ServiceProxy | undefined
  /** What is to be known of the proxies of this node: a sentence each. */
  readonly proxies: () => readonly string[]
}

/**
 * Names what keeps pods of this node from being served as the cluster says, once the agent knows the cluster.
 * @returns a sentence each; none when the agent is ready
 */
export function notReady(sources: Sources): readonly string[] {
  return [...new Set([...sources.pass.missing, ...failures(sources)])]
}

/** Names what is not in force as the cluster says, a sentence each. */
export function failures({ pass, policy, serviceProxy }: Sources): readonly string[] {
  return [...pass.failing, ...(policy?.failing ?? []), ...(serviceProxy?.failing ?? [])]
}

/** By resource. */
export function reflectorsOf({
  nodes,
  pods,
  policy,
  serviceProxy,
}: Sources): Readonly<Record<string, Reflector<unknown>>> {
  return {
    nodes,
    pods,
    ...(serviceProxy && { services: serviceProxy.services, endpointslices: serviceProxy.slices }),
    ...(serviceProxy?.serviceCidrs && { servicecidrs: serviceProxy.serviceCidrs }),
    ...(policy && { networkpolicies: policy.policies, namespaces: policy.namespaces }),
  }
}
