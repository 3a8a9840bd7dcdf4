// The scheduler: assigns a node to every pod without one through the binding subresource, like the real scheduler. It
// ignores pods with spec.nodeName.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import type { LabEventRecorder } from '../event-recorder.ts'
import { tryWrite, type ControllerLog } from './try-write.ts'
import type { NodeView } from './node-view.ts'
import { Placements } from './placement.ts'
import { podPath, podSubject, type PodView } from './pod-view.ts'

export interface SchedulerSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly events: Pick<LabEventRecorder, 'record'>
  readonly log: ControllerLog
}

export class Scheduler {
  readonly #settings: SchedulerSettings
  /** Nodes by the uid of pods whose binding the snapshot does not show yet. They count as bound. */
  readonly #assumed = new Map<string, string>()

  constructor(settings: SchedulerSettings) {
    this.#settings = settings
  }

  async reconcile(nodes: ReadonlyMap<string, NodeView>, pods: ReadonlyMap<string, PodView>): Promise<void> {
    this.#forgetBound(pods)
    const bound = [...pods.values()].flatMap((pod) => {
      const node = pod.nodeName || this.#assumed.get(pod.uid)
      return node === undefined || pod.finished ? [] : [{ pod, node }]
    })
    const placements = new Placements(nodes.values(), bound)
    for (const pod of [...pods.values()].filter((pod) => this.#isWaiting(pod)).toSorted(inOrder)) {
      const placement = placements.place(pod)
      await ('node' in placement ? this.#bind(pod, placement.node) : this.#markUnschedulable(pod, placement.reason))
    }
  }

  #isWaiting(pod: PodView): boolean {
    return (
      pod.nodeName === '' &&
      !pod.deleted &&
      !pod.finished &&
      pod.schedulerName === 'default-scheduler' &&
      !this.#assumed.has(pod.uid)
    )
  }

  #forgetBound(pods: ReadonlyMap<string, PodView>): void {
    const unbound = new Set([...pods.values()].filter(({ nodeName }) => nodeName === '').map(({ uid }) => uid))
    for (const uid of this.#assumed.keys()) if (!unbound.has(uid)) this.#assumed.delete(uid)
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
      !(await tryWrite(log, `bind pod ${namespace}/${name} to ${node}`, () =>
        api.request('POST', `${podPath(pod)}/binding`, { body }),
      ))
    )
      return
    this.#assumed.set(uid, node)
    events.record(podSubject(pod), {
      type: 'Normal',
      reason: 'Scheduled',
      message: `Successfully assigned ${namespace}/${name} to ${node}`,
    })
  }

  /** Writes the reason into the pod and an Event, unless the pod has it already. */
  async #markUnschedulable(pod: PodView, reason: string): Promise<void> {
    if (pod.unschedulableReason === reason) return
    const { api, events, log } = this.#settings
    events.record(podSubject(pod), { type: 'Warning', reason: 'FailedScheduling', message: reason })
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: reason,
      lastProbeTime: null,
      lastTransitionTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    }
    const body = { metadata: { uid: pod.uid }, status: { conditions: [condition] } }
    await tryWrite(log, `mark pod ${pod.namespace}/${pod.name} unschedulable: ${reason}`, () =>
      api.request('PATCH', `${podPath(pod)}/status`, { body, contentType: 'application/strategic-merge-patch+json' }),
    )
  }
}

/** Sorts the longest waiting first. */
function inOrder(a: PodView, b: PodView): number {
  return a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1)
}
