// Which policies each pod of this node is under. A pod that no policy selects for a direction is open there; one whose
// labels are not known is held to deny wherever a policy of its namespace might select it.
import { selects } from '../cluster/label-selector.ts'
import type { ClusterNetworkPolicy } from '../cluster/network-policy.ts'
import type { ClusterPod } from '../cluster/pod.ts'
import { type LocalPod, objectOf } from './local-pod.ts'

export const directions = ['ingress', 'egress'] as const
/** As the pod has it: ingress is what it is sent. */
export type Direction = (typeof directions)[number]

/** Policies that select the pod, by name; undefined: it is open. */
export type Isolation = readonly ClusterNetworkPolicy[] | 'held' | undefined

export interface Subject {
  readonly local: LocalPod
  readonly ingress: Isolation
  readonly egress: Isolation
}

type Policies = ReadonlyMap<string, ClusterNetworkPolicy>

interface Judged {
  readonly object: ClusterPod | undefined
  readonly policies: readonly ClusterNetworkPolicy[]
  readonly subject: Subject
}

const none: readonly ClusterNetworkPolicy[] = []

/** Remembers its answers: a pod is looked at again when it, or a policy of its namespace, has changed. */
export class Subjects {
  #policies: Policies = new Map()
  #byNamespace: ReadonlyMap<string, readonly ClusterNetworkPolicy[]> = new Map()
  #judged = new Map<LocalPod, Judged>()

  /** Policies of a namespace, as of the last {@link update}. */
  policiesIn(namespace: string): readonly ClusterNetworkPolicy[] {
    return this.#byNamespace.get(namespace) ?? none
  }

  update(locals: Iterable<LocalPod>, pods: ReadonlyMap<string, ClusterPod>, policies: Policies): readonly Subject[] {
    if (policies !== this.#policies) this.#byNamespace = byNamespace(policies, this.#byNamespace)
    this.#policies = policies
    const judged = new Map<LocalPod, Judged>()
    for (const local of locals) {
      const object = objectOf(local, pods)
      const own = this.policiesIn(local.namespace)
      const before = this.#judged.get(local)
      judged.set(
        local,
        before?.object === object && before?.policies === own
          ? before
          : { object, policies: own, subject: judge(local, object, own) },
      )
    }
    this.#judged = judged
    return [...judged.values()].map(({ subject }) => subject)
  }
}

function judge(local: LocalPod, object: ClusterPod | undefined, policies: readonly ClusterNetworkPolicy[]): Subject {
  return { local, ingress: isolationOf('ingress', object, policies), egress: isolationOf('egress', object, policies) }
}

/** @param policies all of the pod's namespace */
export function isolationOf(
  direction: Direction,
  pod: Pick<ClusterPod, 'labels'> | undefined,
  policies: readonly ClusterNetworkPolicy[],
): Isolation {
  const concerned = policies.filter((policy) => policy[direction] !== undefined)
  if (pod === undefined) return concerned.length > 0 ? 'held' : undefined
  const selecting = concerned.filter(({ podSelector }) => selects(podSelector, pod.labels))
  return selecting.length > 0 ? selecting : undefined
}

/** Sorted by name. The list of a namespace in which nothing changed stays the same object. */
function byNamespace(
  policies: Policies,
  before: ReadonlyMap<string, readonly ClusterNetworkPolicy[]>,
): ReadonlyMap<string, readonly ClusterNetworkPolicy[]> {
  const lists = Map.groupBy(policies.values(), ({ namespace }) => namespace)
  return new Map(
    [...lists].map(([namespace, list]) => {
      const sorted = list.toSorted((a, b) => (a.name < b.name ? -1 : 1))
      const known = before.get(namespace)
      return [
        namespace,
        known?.length === sorted.length && known.every((policy, i) => policy === sorted[i]) ? known : sorted,
      ]
    }),
  )
}
