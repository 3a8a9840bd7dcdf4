// Gives every pod that has no node one, by the binding subresource as the real scheduler does. A pod with spec.nodeName
// needs none of it.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import type { EventRecorder } from '../event-recorder.ts'
import { attempt, type ControllerLog } from './attempt.ts'
import type { NodeView } from './node-view.ts'
import { Placements } from './placement.ts'
import { podPath, podSubject, type PodView } from './pod-view.ts'

export interface SchedulerSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly events: Pick<EventRecorder, 'record'>
  readonly log: ControllerLog
}

export class Scheduler {
  readonly #settings: SchedulerSettings
  /**
   * Bindings made that the snapshot does not show yet, by the pod's uid: they count where pods are counted, and are not
   * made twice.
   */
  readonly #made = new Map<string, string>()

  constructor(settings: SchedulerSettings) {
    this.#settings = settings
  }

  async pass(nodes: ReadonlyMap<string, NodeView>, pods: ReadonlyMap<string, PodView>): Promise<void> {
    this.#forgetSeen(pods)
    const bound = [...pods.values()].flatMap((pod) => {
      const node = pod.nodeName || this.#made.get(pod.uid)
      return node === undefined || pod.finished ? [] : [{ pod, node }]
    })
    const placements = new Placements(nodes.values(), bound)
    for (const pod of [...pods.values()].filter((pod) => this.#isWaiting(pod)).toSorted(inOrder)) {
      const placement = placements.place(pod)
      await ('node' in placement ? this.#bind(pod, placement.node) : this.#explain(pod, placement.because))
    }
  }

  #isWaiting(pod: PodView): boolean {
    return (
      pod.nodeName === '' &&
      !pod.deleted &&
      !pod.finished &&
      pod.schedulerName === 'default-scheduler' &&
      !this.#made.has(pod.uid)
    )
  }

  #forgetSeen(pods: ReadonlyMap<string, PodView>): void {
    const unbound = new Set([...pods.values()].filter(({ nodeName }) => nodeName === '').map(({ uid }) => uid))
    for (const uid of this.#made.keys()) if (!unbound.has(uid)) this.#made.delete(uid)
  }

  async #bind(pod: PodView, node: string): Promise<void> {
    const { api, events, log } = this.#settings
    const { namespace, name, uid } = pod
    const body = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    }
    if (
      !(await attempt(log, `pod ${namespace}/${name} goes to ${node}`, () =>
        api.request('POST', `${podPath(pod)}/binding`, { body }),
      ))
    )
      return
    this.#made.set(uid, node)
    events.record(podSubject(pod), {
      type: 'Normal',
      reason: 'Scheduled',
      message: `Successfully assigned ${namespace}/${name} to ${node}`,
    })
  }

  /** Writes the reason into the pod, once per reason. */
  async #explain(pod: PodView, because: string): Promise<void> {
    if (pod.unscheduledBecause === because) return
    const { api, events, log } = this.#settings
    events.record(podSubject(pod), { type: 'Warning', reason: 'FailedScheduling', message: because })
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: because,
      lastProbeTime: null,
      lastTransitionTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    }
    const body = { metadata: { uid: pod.uid }, status: { conditions: [condition] } }
    await attempt(log, `pod ${pod.namespace}/${pod.name} waits: ${because}`, () =>
      api.request('PATCH', `${podPath(pod)}/status`, { body, contentType: 'application/strategic-merge-patch+json' }),
    )
  }
}

/** The longest waiting first. */
function inOrder(a: PodView, b: PodView): number {
  return a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1)
}
