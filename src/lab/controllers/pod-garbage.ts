// Removes the pods of nodes that are gone: no kubelet is left to do it.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { ApiError } from '../../cluster/api-error.ts'
import { attempt, type ControllerLog } from './attempt.ts'
import type { NodeView } from './node-view.ts'
import { podPath, type PodView } from './pod-view.ts'

/**
 * ms that a pod may name a node that we never saw, which may be about to join (kube-controller-manager's
 * quarantineTime).
 */
const patienceMs = 40_000

export interface PodGarbageSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly log: ControllerLog
  readonly now?: () => number
}

export class PodGarbage {
  readonly #settings: PodGarbageSettings
  /** Every node that ever was here: when one of them is missing, it has gone. */
  readonly #seen = new Set<string>()
  /** Since when (ms) pods name a node that never was here. */
  readonly #awaited = new Map<string, number>()

  constructor(settings: PodGarbageSettings) {
    this.#settings = settings
  }

  async pass(nodes: ReadonlyMap<string, NodeView>, pods: ReadonlyMap<string, PodView>): Promise<void> {
    for (const name of nodes.keys()) this.#seen.add(name)
    const homeless = Map.groupBy(
      [...pods.values()].filter(({ nodeName }) => nodeName !== '' && !nodes.has(nodeName)),
      ({ nodeName }) => nodeName,
    )
    for (const node of this.#awaited.keys()) if (!homeless.has(node)) this.#awaited.delete(node)
    for (const [node, stranded] of homeless) {
      if (this.#isAwaited(node) || !(await this.#isGone(node))) continue
      for (const pod of stranded) await this.#remove(pod)
    }
  }

  #isAwaited(node: string): boolean {
    if (this.#seen.has(node)) return false
    const now = (this.#settings.now ?? Date.now)()
    const since = this.#awaited.get(node) ?? now
    this.#awaited.set(node, since)
    return now - since < patienceMs
  }

  /** Asks the server itself: the snapshot of nodes may be behind that of pods. */
  async #isGone(node: string): Promise<boolean> {
    const { api, log } = this.#settings
    try {
      await api.request('GET', `/api/v1/nodes/${node}`)
      return false
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return true
      log.warn({ err: error }, `whether node ${node} is gone cannot be told`)
      return false
    }
  }

  async #remove(pod: PodView): Promise<void> {
    const { api, log } = this.#settings
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid: pod.uid } }
    await attempt(log, `pod ${pod.namespace}/${pod.name} is removed: node ${pod.nodeName} is gone`, () =>
      api.request('DELETE', podPath(pod), { body }),
    )
  }
}
