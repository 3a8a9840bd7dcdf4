// Chooses nodes for pods: of the nodes that fit, the one with the fewest pods of the same owner, then the one with the
// fewest pods. Pure.
import type { NodeView } from './node-view.ts'
import type { PodView } from './pod-view.ts'

export type Placement = { readonly node: string } | { readonly reason: string }

export class Placements {
  readonly #nodes: readonly NodeView[]
  /** Pods by node, those placed here included. */
  readonly #pods = new Map<string, PodView[]>()

  /** @param bound the pods that have a node already. */
  constructor(nodes: Iterable<NodeView>, bound: Iterable<{ pod: PodView; node: string }>) {
    this.#nodes = [...nodes].toSorted((a, b) => (a.name < b.name ? -1 : 1))
    for (const { pod, node } of bound) this.#put(pod, node)
  }

  /**
   * Chooses a node and counts the pod there from now on.
   * @returns the node, or the reason why no node fits, in the real scheduler's words.
   */
  place(pod: PodView): Placement {
    const reasons = new Map<string, number>()
    let best: { node: NodeView; siblings: number; pods: number } | undefined
    for (const node of this.#nodes) {
      const reason = this.#unfit(node, pod)
      if (reason !== undefined) {
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
        continue
      }
      const there = this.#on(node.name)
      const candidate = { node, siblings: there.filter((other) => areSiblings(pod, other)).length, pods: there.length }
      if (
        best === undefined ||
        candidate.siblings < best.siblings ||
        (candidate.siblings === best.siblings && candidate.pods < best.pods)
      )
        best = candidate
    }
    if (best === undefined) {
      const list = [...reasons].map(([reason, count]) => `${count} ${reason}`).join(', ')
      return { reason: `0/${this.#nodes.length} nodes are available${list === '' ? '' : `: ${list}`}.` }
    }
    this.#put(pod, best.node.name)
    return { node: best.node.name }
  }

  #unfit(node: NodeView, pod: PodView): string | undefined {
    if (!node.ready) return 'node(s) were not ready'
    if (node.unschedulable) return 'node(s) were unschedulable'
    if (Object.entries(pod.nodeSelector).some(([key, value]) => node.labels[key] !== value))
      return "node(s) didn't match Pod's node affinity/selector"
    return this.#on(node.name).length >= node.podCapacity ? 'Too many pods' : undefined
  }

  #on(node: string): readonly PodView[] {
    return this.#pods.get(node) ?? []
  }

  #put(pod: PodView, node: string): void {
    const there = this.#pods.get(node)
    if (there === undefined) this.#pods.set(node, [pod])
    else there.push(pod)
  }
}

/** Whether two pods have the same owner. */
function areSiblings(a: PodView, b: PodView): boolean {
  return a.owner !== undefined && a.owner.uid === b.owner?.uid
}
