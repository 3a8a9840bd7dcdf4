// Computes the next step of a Deployment's rollout. Pure. Every step is valid on its own, so the next one can start
// from any state.
import { type DeploymentStatus, type DeploymentView, hashOf } from './deployment-view.ts'
import type { PodView } from './pod-view.ts'

export const templateHashLabel = 'pod-template-hash'

export interface RolloutStep {
  /** Names of the pods to create from the current template. */
  readonly create: readonly string[]
  readonly remove: readonly PodView[]
  readonly status: DeploymentStatus
}

/**
 * Computes a step.
 * @param pods all pods that the Deployment owns.
 * @param taken names of all pods in its namespace.
 */
export function nextStep(
  deployment: DeploymentView,
  pods: readonly PodView[],
  taken: ReadonlySet<string>,
): RolloutStep {
  const { replicas, recreate, maxSurge, maxUnavailable, templateHash } = deployment
  const active = pods.filter((pod) => !pod.deleted && !pod.finished)
  const current = active.filter((pod) => pod.labels[templateHashLabel] === templateHash)
  const old = active.filter((pod) => pod.labels[templateHashLabel] !== templateHash)
  const oldRemain = pods.some((pod) => pod.labels[templateHashLabel] !== templateHash && !pod.finished)

  const room = recreate
    ? (oldRemain ? 0 : replicas) - current.length
    : replicas + (old.length > 0 ? maxSurge : 0) - active.length
  const missing = Math.max(0, Math.min(replicas - current.length, room))
  const surplus = leastUsefulFirst(current).slice(0, Math.max(0, current.length - replicas))
  const keptReady = current.filter((pod) => pod.ready && !surplus.includes(pod)).length
  return {
    create: freeNames(deployment, missing, taken),
    remove: [...surplus, ...(recreate ? old : outdated(old, replicas - maxUnavailable - keptReady))],
    status: statusOf(deployment, active, current),
  }
}

/** Returns the old pods that can go: unready ones, and ready ones beyond the number that is needed. */
function outdated(old: readonly PodView[], needed: number): PodView[] {
  const ready = leastUsefulFirst(old.filter((pod) => pod.ready))
  return [...old.filter((pod) => !pod.ready), ...ready.slice(0, Math.max(0, ready.length - Math.max(0, needed)))]
}

/** Sorts pods: unscheduled, then unready, then on the node with the most pods, then the youngest. */
function leastUsefulFirst(pods: readonly PodView[]): PodView[] {
  const perNode = new Map<string, number>()
  for (const { nodeName } of pods) perNode.set(nodeName, (perNode.get(nodeName) ?? 0) + 1)
  return pods.toSorted(
    (a, b) =>
      rank(a) - rank(b) ||
      (perNode.get(b.nodeName) ?? 0) - (perNode.get(a.nodeName) ?? 0) ||
      b.createdAt - a.createdAt ||
      (a.name < b.name ? -1 : 1),
  )
}

function rank({ nodeName, ready }: PodView): number {
  if (nodeName === '') return 0
  return ready ? 2 : 1
}

/**
 * Derives names from the existing ones. A step repeated on an outdated snapshot then chooses the names of pods that
 * exist already, which the API server rejects; with random names it would create pods twice.
 */
function freeNames({ name, uid, templateHash }: DeploymentView, count: number, taken: ReadonlySet<string>): string[] {
  const names: string[] = []
  for (let slot = 0; names.length < count; slot++) {
    const candidate = `${name.slice(0, 230)}-${templateHash}-${hashOf(`${uid}/${slot}`).slice(0, 5)}`
    if (!taken.has(candidate) && !names.includes(candidate)) names.push(candidate)
  }
  return names
}

function statusOf(
  { generation, replicas }: DeploymentView,
  active: readonly PodView[],
  current: readonly PodView[],
): DeploymentStatus {
  const ready = active.filter((pod) => pod.ready).length
  return {
    observedGeneration: generation,
    replicas: active.length,
    updatedReplicas: current.length,
    readyReplicas: ready,
    availableReplicas: ready,
    unavailableReplicas: Math.max(0, replicas - ready),
  }
}
