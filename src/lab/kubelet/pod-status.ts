// Computes a pod's status from the states of its containers (Kubernetes API, PodStatus).
import type { ContainerState, Terminated } from './container.ts'
import type { PodManifest } from './pod-manifest.ts'

export interface PodCondition {
  readonly type: string
  readonly status: 'True' | 'False'
  readonly lastTransitionTime: string
  readonly message?: string
}

export interface PodFacts {
  readonly pod: PodManifest
  readonly nodeAddress: string
  /** The pod's addresses; empty until it has a sandbox. */
  readonly addresses: readonly string[]
  readonly containers: readonly ContainerState[]
  /** Why it has no sandbox yet. */
  readonly problem: string | undefined
  readonly startTime: number
  /** ms since the epoch. */
  readonly now: number
}

export interface PodStatus {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed'
  readonly conditions: readonly PodCondition[]
  readonly [field: string]: unknown
}

export function podStatusOf(facts: PodFacts, previous: readonly PodCondition[]): PodStatus {
  const { addresses, containers, nodeAddress } = facts
  const ready = containers.length > 0 && containers.every((container) => container.ready)
  // A terminating pod stays ready as long as its probes succeed. EndpointSlices then call it serving, but not ready.
  const met = {
    PodScheduled: true,
    PodReadyToStartContainers: addresses.length > 0,
    Initialized: true,
    ContainersReady: ready,
    Ready: ready,
  }
  const conditions = Object.entries(met).map(([type, isMet]): PodCondition => {
    const status = isMet ? 'True' : 'False'
    const before = previous.find((condition) => condition.type === type && condition.status === status)
    const message = type === 'PodReadyToStartContainers' && !isMet ? facts.problem : undefined
    return {
      type,
      status,
      lastTransitionTime: before?.lastTransitionTime ?? timeOf(facts.now),
      ...(message === undefined ? {} : { message }),
    }
  })
  return {
    phase: phaseOf(containers),
    conditions,
    hostIP: nodeAddress,
    hostIPs: [{ ip: nodeAddress }],
    startTime: timeOf(facts.startTime),
    ...(addresses.length === 0 ? {} : { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) }),
    containerStatuses: containers.map((container) => ({
      name: container.name,
      image: '',
      imageID: '',
      ready: container.ready,
      started: container.current.kind === 'running',
      restartCount: container.restarts,
      state: stateOf(container.current),
      lastState: container.last === undefined ? {} : stateOf(container.last),
    })),
  }
}

function phaseOf(containers: readonly ContainerState[]): PodStatus['phase'] {
  if (
    containers.length === 0 ||
    containers.some(
      ({ current, restarts }) => current.kind === 'waiting' && current.reason === 'ContainerCreating' && restarts === 0,
    )
  )
    return 'Pending'
  if (!containers.every(({ finished }) => finished)) return 'Running'
  return containers.every(({ current }) => current.kind === 'terminated' && current.exitCode === 0)
    ? 'Succeeded'
    : 'Failed'
}

function stateOf(state: ContainerState['current']): object {
  switch (state.kind) {
    case 'waiting':
      return { waiting: { reason: state.reason } }
    case 'running':
      return { running: { startedAt: timeOf(state.startedAt) } }
    case 'terminated':
      return { terminated: terminatedOf(state) }
  }
}

function terminatedOf({ exitCode, startedAt, finishedAt }: Terminated): object {
  return {
    exitCode,
    reason: exitCode === 0 ? 'Completed' : 'Error',
    startedAt: timeOf(startedAt),
    finishedAt: timeOf(finishedAt),
  }
}

/** Formats a time as the API does: RFC 3339, whole seconds. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
