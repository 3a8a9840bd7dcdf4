// Who is in each selection that the rules of this node ask for: kept up with pods and namespaces as they change, at the
// cost of what has changed.
import { selects } from '../cluster/label-selector.ts'
import type { ClusterNamespace } from '../cluster/namespace.ts'
import type { ClusterPod } from '../cluster/pod.ts'
import type { Address } from '../net/address.ts'
import { ownsAddresses } from './local-pod.ts'
import type { PodSelection } from './pod-selection.ts'
import { SelectionIndex } from './selection-index.ts'

export interface Member {
  readonly pod: ClusterPod
  readonly addresses: readonly Address[]
}

/** By "ns/name". */
export type MemberMap = ReadonlyMap<string, Member>

interface Known extends Member {
  /** Keys of the selections it is in. */
  readonly selections: Set<string>
}

const nobody: MemberMap = new Map()

export class Members {
  #pods: ReadonlyMap<string, ClusterPod> = new Map()
  #addresses: ReadonlyMap<string, readonly Address[]> = new Map()
  #namespaces: ReadonlyMap<string, ClusterNamespace> = new Map()
  readonly #selections = new Map<string, PodSelection>()
  /**
   * Selection key -> its members. A map here is never changed once a turn is over: it is another one when a member is.
   */
  readonly #members = new Map<string, MemberMap>()
  /** Those of this turn's maps that may still be changed. */
  readonly #fresh = new Map<string, Map<string, Member>>()
  /** Namespace -> pods there that can be members. */
  readonly #known = new Map<string, Map<string, Known>>()
  readonly #indexes = new Map<string, SelectionIndex>()

  /** @returns the same map until one of its members has changed */
  of(selection: PodSelection): MemberMap {
    return this.#members.get(selection.key) ?? nobody
  }

  /**
   * The cluster as it is now.
   * @param addresses of the pods whose addresses we know before the API server does, by "ns/name"
   */
  update(
    pods: ReadonlyMap<string, ClusterPod>,
    namespaces: ReadonlyMap<string, ClusterNamespace>,
    addresses: ReadonlyMap<string, readonly Address[]>,
  ): void {
    this.#moveNamespaces(namespaces)
    for (const key of this.#changes(pods, addresses)) {
      const [before, pod] = [this.#pods.get(key), pods.get(key)]
      if (pod !== undefined) this.#put(key, pod, addresses.get(key))
      else if (before !== undefined) this.#remove(before.namespace, key)
    }
    this.#pods = pods
    this.#addresses = addresses
    this.#fresh.clear()
  }

  /** The selections that rules ask for from now on. */
  follow(selections: ReadonlyMap<string, PodSelection>): void {
    const added = [...selections.values()].filter(({ key }) => !this.#selections.has(key))
    const gone = [...this.#selections.keys()].filter((key) => !selections.has(key))
    if (added.length === 0 && gone.length === 0) return
    this.#indexes.clear()
    for (const key of gone) {
      this.#selections.delete(key)
      for (const [
        pod,
        {
          pod: { namespace },
        },
      ] of this.#members.get(key) ?? nobody)
        this.#known.get(namespace)?.get(pod)?.selections.delete(key)
      this.#members.delete(key)
    }
    for (const selection of added) this.#selections.set(selection.key, selection)
    for (const [namespace, pods] of added.length === 0 ? [] : this.#known) {
      const index = this.#indexOf(namespace, added)
      for (const [key, known] of pods)
        for (const selection of index.matching(known.pod.labels)) this.#join(selection.key, key, known)
    }
    this.#fresh.clear()
  }

  /**
   * Keys of pods that came, went, or are others. Each sync looks at every pod for it, and does little else where
   * nothing changed.
   */
  #changes(pods: ReadonlyMap<string, ClusterPod>, addresses: ReadonlyMap<string, readonly Address[]>): Set<string> {
    const changed = new Set<string>()
    let kept = 0
    for (const [key, pod] of pods === this.#pods ? [] : pods) {
      const before = this.#pods.get(key)
      if (before !== undefined) kept += 1
      if (before !== pod) changed.add(key)
    }
    if (pods !== this.#pods && kept < this.#pods.size)
      for (const key of this.#pods.keys()) if (!pods.has(key)) changed.add(key)
    for (const [key, list] of addresses) if (this.#addresses.get(key) !== list) changed.add(key)
    for (const key of this.#addresses.keys()) if (!addresses.has(key)) changed.add(key)
    return changed
  }

  /**
   * Pods of a namespace that is not known yet are in no selection of namespaces: what its labels will be, nobody can
   * tell.
   */
  #moveNamespaces(namespaces: ReadonlyMap<string, ClusterNamespace>): void {
    if (namespaces === this.#namespaces) return
    const before = this.#namespaces
    this.#namespaces = namespaces
    for (const name of new Set([...before.keys(), ...namespaces.keys()])) {
      if (before.get(name) === namespaces.get(name)) continue
      this.#indexes.delete(name)
      for (const [key, known] of this.#known.get(name) ?? []) this.#place(key, known)
    }
    this.#fresh.clear()
  }

  #put(key: string, pod: ClusterPod, addresses = pod.addresses): void {
    this.#remove(pod.namespace, key)
    if (!ownsAddresses({ ...pod, addresses })) return
    const known: Known = { pod, addresses, selections: new Set() }
    const siblings = this.#known.get(pod.namespace) ?? new Map<string, Known>()
    this.#known.set(pod.namespace, siblings.set(key, known))
    this.#place(key, known)
  }

  #remove(namespace: string, key: string): void {
    const siblings = this.#known.get(namespace)
    for (const selection of siblings?.get(key)?.selections ?? []) this.#changing(selection).delete(key)
    siblings?.delete(key)
    if (siblings?.size === 0) this.#known.delete(namespace)
  }

  /** Into the selections it belongs to, and out of the others. */
  #place(key: string, known: Known): void {
    const { namespace, labels } = known.pod
    const index = this.#indexes.get(namespace) ?? this.#indexOf(namespace, this.#selections.values())
    this.#indexes.set(namespace, index)
    const wanted = new Set(index.matching(labels).map((selection) => selection.key))
    for (const selection of known.selections) {
      if (wanted.has(selection)) continue
      known.selections.delete(selection)
      this.#changing(selection).delete(key)
    }
    for (const selection of wanted) this.#join(selection, key, known)
  }

  #join(selection: string, key: string, known: Known): void {
    if (known.selections.has(selection)) return
    known.selections.add(selection)
    this.#changing(selection).set(key, known)
  }

  #changing(selection: string): Map<string, Member> {
    const fresh = this.#fresh.get(selection) ?? new Map(this.#members.get(selection))
    this.#fresh.set(selection, fresh)
    this.#members.set(selection, fresh)
    return fresh
  }

  #indexOf(namespace: string, selections: Iterable<PodSelection>): SelectionIndex {
    const labels = this.#namespaces.get(namespace)?.labels
    return new SelectionIndex(
      [...selections].filter(({ namespaces }) =>
        typeof namespaces === 'string' ? namespaces === namespace : labels !== undefined && selects(namespaces, labels),
      ),
    )
  }
}
