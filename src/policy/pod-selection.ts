// A choice of pods of the whole cluster, as a peer of a policy makes it. Equal choices have equal keys, so that all
// rules share one set for them.
import { formatSelector, type LabelSelector } from '../cluster/label-selector.ts'
import type { PodPeer } from '../cluster/network-policy.ts'

export interface PodSelection {
  /** Also what people read: "shop: app=web" or "(team=a): app=web". */
  readonly key: string
  /** One namespace by name, or all that the selector selects. */
  readonly namespaces: string | LabelSelector
  readonly pods: LabelSelector
}

export function selectionIn(namespace: string, pods: LabelSelector): PodSelection {
  return { key: `${namespace}: ${formatSelector(pods) || 'all pods'}`, namespaces: namespace, pods }
}

export function selectionOf(policyNamespace: string, { namespaces, pods }: PodPeer): PodSelection {
  return namespaces === undefined
    ? selectionIn(policyNamespace, pods)
    : { key: `(${formatSelector(namespaces)}): ${formatSelector(pods) || 'all pods'}`, namespaces, pods }
}

export const allPods: PodSelection = selectionOf('', { namespaces: [], pods: [] })
