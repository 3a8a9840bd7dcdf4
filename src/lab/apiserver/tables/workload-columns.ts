// The columns of Deployments, ReplicaSets and DaemonSets.
import { isFields, type KubeObject, listOfFields, textAt } from '../kube-object.ts'
import { type Column, column, counted, wide } from './column.ts'
import { formatLabels, formatSelector } from './labels.ts'

export function deploymentColumns(name: Column, age: Column): readonly Column[] {
  return [
    name,
    column('Ready', (object) => `${inStatus(object, 'readyReplicas')}/${wanted(object)}`),
    counted('Up-to-date', (object) => inStatus(object, 'updatedReplicas')),
    counted('Available', (object) => inStatus(object, 'availableReplicas')),
    age,
    ...containers,
  ]
}

export function replicaSetColumns(name: Column, age: Column): readonly Column[] {
  return [
    name,
    counted('Desired', wanted),
    counted('Current', (object) => inStatus(object, 'replicas')),
    counted('Ready', (object) => inStatus(object, 'readyReplicas')),
    age,
    ...containers,
  ]
}

export function daemonSetColumns(name: Column, age: Column): readonly Column[] {
  const counts = {
    Desired: 'desiredNumberScheduled',
    Current: 'currentNumberScheduled',
    Ready: 'numberReady',
    'Up-to-date': 'updatedNumberScheduled',
    Available: 'numberAvailable',
  }
  return [
    name,
    ...Object.entries(counts).map(([title, field]) => counted(title, (object) => inStatus(object, field))),
    column('Node Selector', (object) => formatLabels(templateSpec(object)['nodeSelector'])),
    age,
    ...containers,
  ]
}

const containers: readonly Column[] = [
  wide('Containers', (object) =>
    listOfFields(templateSpec(object)['containers'])
      .map((container) => textAt(container, 'name'))
      .join(','),
  ),
  wide('Images', (object) =>
    listOfFields(templateSpec(object)['containers'])
      .map((container) => textAt(container, 'image'))
      .join(','),
  ),
  wide('Selector', ({ spec }) => formatSelector(spec?.['selector'])),
]

function wanted({ spec }: KubeObject): number {
  return typeof spec?.['replicas'] === 'number' ? spec['replicas'] : 0
}

function inStatus({ status }: KubeObject, field: string): number {
  const value = status?.[field]
  return typeof value === 'number' ? value : 0
}

function templateSpec({ spec }: KubeObject): Record<string, unknown> {
  const template = spec?.['template']
  return isFields(template) && isFields(template['spec']) ? template['spec'] : {}
}
