// Gauges over the agent's own state, each read when Prometheus asks.
import type { ClusterPod } from '../cluster/pod.ts'
import type { Reflector } from '../cluster/reflector.ts'
import { formatCidr } from '../net/cidr.ts'
import type { PodNetwork } from '../pods/pod-network.ts'
import type { Metrics, Reading } from '../runtime/metrics.ts'
import { notReady, reflectorsOf, type Sources } from './sources.ts'

export function publishGauges(metrics: Metrics, sources: Sources): void {
  const { pods, podNetwork, pass, policy, serviceProxy } = sources
  const reflectors = reflectorsOf(sources)
  const ofReflectors = (value: (reflector: Reflector<unknown>) => number): Reading[] =>
    Object.entries(reflectors).map(([resource, reflector]) => ({ labels: { resource }, value: value(reflector) }))
  metrics.gauge('fairlead_reflector_synced', '1 once the first list has arrived', ['resource'], () =>
    ofReflectors((r) => Number(r.synced)),
  )
  metrics.gauge('fairlead_reflector_objects', 'Objects kept', ['resource'], () => ofReflectors((r) => r.snapshot.size))
  metrics.gauge('fairlead_reflector_relists_total', 'Full lists, the first included', ['resource'], () =>
    ofReflectors((r) => r.status().relists),
  )
  metrics.gauge('fairlead_reflector_reconnects_total', 'Watches that had to be opened again', ['resource'], () =>
    ofReflectors((r) => r.status().reconnects),
  )
  metrics.gauge('fairlead_reflector_state', '1 for the state that the reflector is in', ['resource', 'state'], () =>
    Object.entries(reflectors).map(([resource, reflector]) => ({
      labels: { resource, state: reflector.status().state },
      value: 1,
    })),
  )
  metrics.gauge(
    'fairlead_object_problems',
    'What is wrong with objects of the API server as they are now, by reason: each was said in the log once',
    ['resource', 'reason'],
    () => {
      const problems = Object.entries(reflectors).flatMap(([resource, reflector]) =>
        reflector.problems.map(({ reason }) => ({ resource, reason })),
      )
      const between = (serviceProxy?.problems ?? []).map(({ reason }) => ({ resource: 'services', reason }))
      const hostPorts = sources.rules.problems.map(({ reason }) => ({ resource: 'pods', reason }))
      const orphans = (serviceProxy?.sliceProblems ?? []).map(({ reason }) => ({ resource: 'endpointslices', reason }))
      return counted([...problems, ...between, ...hostPorts, ...orphans])
    },
  )
  metrics.gauge('fairlead_ipam_addresses', 'Addresses of this node by pool and state', ['pool', 'state'], () =>
    podNetwork.ipamStatus().flatMap(({ podCidr, size, used, resting }) =>
      Object.entries({ used, resting, free: size - used - resting }).map(([state, value]) => ({
        labels: { pool: formatCidr(podCidr), state },
        value,
      })),
    ),
  )
  metrics.gauge('fairlead_attachments', 'Attachments of pods on this node', [], () => [
    { labels: {}, value: podNetwork.attachments.size },
  ])
  // An attachment outlives its Pod object for a moment at each deletion; one that stays is a runtime that never called
  // DEL.
  metrics.gauge('fairlead_attachments_without_pod', 'Attachments whose pod the API server no longer has', [], () => [
    { labels: {}, value: pods.synced ? orphans(podNetwork, pods) : 0 },
  ])
  metrics.gauge(
    'fairlead_policy_pods',
    'Pods of this node that policies isolate, by whether their labels are known',
    ['state'],
    () => Object.entries(policy?.pods ?? {}).map(([state, value]) => ({ labels: { state }, value })),
  )
  metrics.gauge(
    'fairlead_policy_denied_packets_total',
    'Packets that no policy admits, by pod and the policies that it is under',
    ['direction', 'namespace', 'pod', 'policies'],
    () =>
      (policy?.denials ?? []).map(({ direction, namespace, pod, policies = [], packets }) => ({
        labels: { direction, namespace, pod, policies: policies.join(',') },
        value: packets,
      })),
  )
  metrics.gauge(
    'fairlead_policy_misaddressed_packets_total',
    'Packets dropped at the ports of isolated pods, since their source or destination was not the pod',
    ['reason', 'namespace', 'pod'],
    () =>
      (policy?.misaddressed ?? []).map(({ reason, namespace, pod, packets }) => ({
        labels: { reason, namespace, pod },
        value: packets,
      })),
  )
  metrics.gauge(
    'fairlead_resync_seconds',
    'How often the kernel is compared with what it should hold, besides on every event',
    [],
    () => [{ labels: {}, value: pass.intervalMs / 1000 }],
  )
  metrics.gauge('fairlead_overlay_peers', 'Other nodes reached', [], () => [{ labels: {}, value: pass.peers }])
  metrics.gauge('fairlead_ready', '1 when pods can be served and rules are as the cluster says', [], () => [
    { labels: {}, value: Number(notReady(sources).length === 0) },
  ])
}

/** So many of each. */
function counted(all: readonly Record<string, string>[]): Reading[] {
  return [...Map.groupBy(all, (labels) => JSON.stringify(labels)).values()].map((same) => ({
    labels: same[0] ?? {},
    value: same.length,
  }))
}

function orphans(podNetwork: PodNetwork, pods: Reflector<ClusterPod>): number {
  const known = [...podNetwork.attachments.values()].filter(({ pod }) => pod !== undefined)
  return known.filter(({ pod }) => !pods.snapshot.has(`${pod?.namespace}/${pod?.name}`)).length
}
