// What the agent adds to the watch over pods' namespaces: which pods may change their network, as their Pod objects say,
// and where a repair is counted.
import type { Logger } from 'pino'
import type { ClusterPod } from '../cluster/pod.ts'
import type { Reflector } from '../cluster/reflector.ts'
import type { PodSideOptions } from '../pods/pod-side/watch.ts'
import { objectOf, ownsAddresses } from '../policy/local-pod.ts'
import type { Repairs } from '../runtime/repairs.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { localPodOf } from './policy-enforcer.ts'

/** Pods of a node that have addresses of their own. */
export function podsOn(node: string, pods: Reflector<ClusterPod>): ClusterPod[] {
  return [...pods.snapshot.values()].filter((pod) => pod.node === node && ownsAddresses(pod))
}

export function podSideOptions(parts: {
  pods: Reflector<ClusterPod>
  repairs: Repairs
  metrics: Metrics
  log: Logger
}): PodSideOptions {
  const { pods, repairs, metrics, log } = parts
  return {
    mayChange: (attachment) => {
      const local = localPodOf(attachment)
      return local && objectOf(local, pods.snapshot)?.netAdmin
    },
    repaired: (pod, what, changes) => {
      repairs.note(
        'pods',
        what.map((each) => `${pod}: ${each}`),
      )
      for (const { kind, tool, line } of changes) {
        metrics.reconcileChanges.inc({ room: 'pods', kind })
        log.info({ room: 'pods', pod, command: `${tool} ${line}` }, 'repaired')
      }
    },
  }
}
