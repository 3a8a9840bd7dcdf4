// The columns of Pods. The status is one word for everything that may be wrong with a pod (printers.go, printPod).
import { type Fields, isFields, type KubeObject, listOfFields, textAt } from '../kube-object.ts'
import { type Column, column, wide } from './column.ts'
import { ageOf } from './duration.ts'

export function podColumns(name: Column, age: Column): readonly Column[] {
  return [
    name,
    column('Ready', readyContainers),
    column('Status', statusOf),
    column('Restarts', restartsOf),
    age,
    wide('IP', (pod) => textAt(pod, 'status.podIP') || '<none>'),
    wide('Node', (pod) => textAt(pod, 'spec.nodeName') || '<none>'),
    wide('Nominated Node', (pod) => textAt(pod, 'status.nominatedNodeName') || '<none>'),
    wide('Readiness Gates', gatesOf),
  ]
}

function readyContainers({ spec, status }: KubeObject): string {
  const ready = listOfFields(status?.['containerStatuses']).filter((one) => isRunningAndReady(one))
  return `${ready.length}/${listOfFields(spec?.['containers']).length}`
}

function statusOf(pod: KubeObject): string {
  const { metadata, status } = pod
  const phase = textAt(pod, 'status.phase')
  if (metadata.deletionTimestamp !== undefined && phase !== 'Succeeded' && phase !== 'Failed') return 'Terminating'
  const containers = listOfFields(status?.['containerStatuses'])
  // The reason of the first container that has one. The real server iterates backwards and keeps the last it finds.
  const reason =
    containers.map((one) => reasonOf(one)).find((word) => word !== '') ?? (textAt(pod, 'status.reason') || phase)
  if (reason !== 'Completed' || !containers.some((one) => isRunningAndReady(one))) return reason
  return listOfFields(status?.['conditions']).some(({ type, status }) => type === 'Ready' && status === 'True')
    ? 'Running'
    : 'NotReady'
}

function reasonOf(container: Fields): string {
  const waiting = textAt(container, 'state.waiting.reason')
  if (waiting !== '') return waiting
  const state = container['state']
  if (!isFields(state) || !isFields(state['terminated'])) return ''
  const { reason, signal, exitCode } = state['terminated']
  if (typeof reason === 'string' && reason !== '') return reason
  return typeof signal === 'number' && signal !== 0 ? `Signal:${signal}` : `ExitCode:${String(exitCode)}`
}

/** Formats "2 (5s ago)": the number of restarts, and the age of the last one. */
function restartsOf({ status }: KubeObject, now: number): string {
  const containers = listOfFields(status?.['containerStatuses'])
  const count = containers.reduce(
    (sum, one) => sum + (typeof one['restartCount'] === 'number' ? one['restartCount'] : 0),
    0,
  )
  const last = containers
    .map((one) => textAt(one, 'lastState.terminated.finishedAt'))
    .toSorted()
    .at(-1)
  return count === 0 || !last ? String(count) : `${count} (${ageOf(last, now)} ago)`
}

function gatesOf({ spec, status }: KubeObject): string {
  const gates = listOfFields(spec?.['readinessGates']).map((gate) => gate['conditionType'])
  if (gates.length === 0) return '<none>'
  const met = gates.filter((gate) =>
    listOfFields(status?.['conditions']).some(({ type, status }) => type === gate && status === 'True'),
  )
  return `${met.length}/${gates.length}`
}

function isRunningAndReady(container: Fields): boolean {
  return container['ready'] === true && isFields(container['state']) && isFields(container['state']['running'])
}
