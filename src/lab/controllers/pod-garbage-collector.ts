// The pod garbage collector: deletes pods of nodes that do not exist any more, because no kubelet is left to do it.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { ApiError } from '../../cluster/api-error.ts'
import { tryWrite, type ControllerLog } from './try-write.ts'
import type { NodeView } from './node-view.ts'
import { podPath, type PodView } from './pod-view.ts'

/**
 * ms that pods may refer to a node that never existed, because it may be about to join (kube-controller-manager's
 * quarantineTime).
 */
const quarantineMs = 40_000

export interface PodGarbageCollectorSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly log: ControllerLog
  readonly now?: () => number
}

export class PodGarbageCollector {
  readonly #settings: PodGarbageCollectorSettings
  /** Every node that has existed. If one of them is missing, it was deleted. */
  readonly #seen = new Set<string>()
  /** The time in ms at which pods were first seen on a node that has never existed. */
  readonly #missingSince = new Map<string, number>()

  constructor(settings: PodGarbageCollectorSettings) {
    this.#settings = settings
  }

  async reconcile(nodes: ReadonlyMap<string, NodeView>, pods: ReadonlyMap<string, PodView>): Promise<void> {
    for (const name of nodes.keys()) this.#seen.add(name)
    const orphaned = Map.groupBy(
      [...pods.values()].filter(({ nodeName }) => nodeName !== '' && !nodes.has(nodeName)),
      ({ nodeName }) => nodeName,
    )
    for (const node of this.#missingSince.keys()) if (!orphaned.has(node)) this.#missingSince.delete(node)
    for (const [node, podsOfNode] of orphaned) {
      if (this.#isQuarantined(node) || !(await this.#isGone(node))) continue
      for (const pod of podsOfNode) await this.#remove(pod)
    }
  }

  #isQuarantined(node: string): boolean {
    if (this.#seen.has(node)) return false
    const now = (this.#settings.now ?? Date.now)()
    const since = this.#missingSince.get(node) ?? now
    this.#missingSince.set(node, since)
    return now - since < quarantineMs
  }

  /** Asks the API server, because the snapshot of nodes may be older than that of pods. */
  async #isGone(node: string): Promise<boolean> {
    const { api, log } = this.#settings
    try {
      await api.request('GET', `/api/v1/nodes/${node}`)
      return false
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return true
      log.warn({ node, err: error }, 'cannot read the node of a pod')
      return false
    }
  }

  async #remove(pod: PodView): Promise<void> {
    const { api, log } = this.#settings
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid: pod.uid } }
    await tryWrite(log, `delete pod ${pod.namespace}/${pod.name}: node ${pod.nodeName} does not exist any more`, () =>
      api.request('DELETE', podPath(pod), { body }),
    )
  }
}
