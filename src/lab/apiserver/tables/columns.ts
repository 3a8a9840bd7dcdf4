// The table columns of each resource, with the names and order of kubernetes pkg/printers/internalversion/printers.go.
import { isFields, type KubeObject, listOfFields, textAt } from '../kube-object.ts'
import {
  deployments,
  endpointSlices,
  namespaces,
  networkPolicies,
  nodes,
  pods,
  replicaSets,
  type Resource,
  services,
} from '../resources.ts'
import { type Column, column, counted, wide } from './column.ts'
import { ageOf } from './duration.ts'
import { formatSelector } from './labels.ts'
import { endpointAddresses, endpointSliceColumns, serviceColumns } from './network-columns.ts'
import { nodeColumns } from './node-columns.ts'
import { podColumns } from './pod-columns.ts'
import { daemonSetColumns, deploymentColumns, replicaSetColumns } from './workload-columns.ts'

const name = column('Name', ({ metadata }) => metadata.name)
const age = column('Age', ({ metadata }, now) => ageOf(metadata.creationTimestamp, now))
const createdAt = column('Created At', ({ metadata }) => metadata.creationTimestamp ?? '<unknown>')

const byResource = new Map<Resource, readonly Column[]>([
  [pods, podColumns(name, age)],
  [services, serviceColumns(name, age)],
  [nodes, nodeColumns(name, age)],
  [deployments, deploymentColumns(name, age)],
  [replicaSets, replicaSetColumns(name, age)],
  [endpointSlices, endpointSliceColumns(name, age)],
  [namespaces, [name, column('Status', (object) => textAt(object, 'status.phase')), age]],
  [networkPolicies, [name, column('Pod-Selector', ({ spec }) => formatSelector(spec?.['podSelector'])), age]],
])

const data = counted('Data', ({ data, binaryData }) => sizeOf(data) + sizeOf(binaryData))
const role = column('Role', (object) => `${textAt(object, 'roleRef.kind')}/${textAt(object, 'roleRef.name')}`)
const binding: readonly Column[] = [
  name,
  role,
  age,
  wide('Users', subjects('User')),
  wide('Groups', subjects('Group')),
  wide('ServiceAccounts', subjects('ServiceAccount')),
]

/** Resources that no other module refers to, by their plural. */
const byPlural: Readonly<Record<string, readonly Column[]>> = {
  daemonsets: daemonSetColumns(name, age),
  endpoints: [name, column('Endpoints', endpointAddresses), age],
  configmaps: [name, data, age],
  secrets: [name, column('Type', (object) => textAt(object, 'type')), data, age],
  serviceaccounts: [name, counted('Secrets', ({ secrets }) => listOfFields(secrets).length), age],
  leases: [name, column('Holder', (object) => textAt(object, 'spec.holderIdentity')), age],
  roles: [name, createdAt],
  clusterroles: [name, createdAt],
  rolebindings: binding,
  clusterrolebindings: binding,
  events: [
    column('Last Seen', (object, now) => ageOf(lastSeen(object), now)),
    column('Type', (object) => textAt(object, 'type')),
    column('Reason', (object) => textAt(object, 'reason')),
    column(
      'Object',
      (object) => `${textAt(object, 'involvedObject.kind').toLowerCase()}/${textAt(object, 'involvedObject.name')}`,
    ),
    wide('Subobject', (object) => textAt(object, 'involvedObject.fieldPath')),
    wide('Source', sourceOf),
    column('Message', (object) => textAt(object, 'message').trim()),
    wide('First Seen', (object, now) => ageOf(textAt(object, 'firstTimestamp') || textAt(object, 'eventTime'), now)),
    {
      ...wide('Count', () => ''),
      type: 'integer',
      cell: (object) => Number(textAt(object, 'series.count') || textAt(object, 'count') || 1),
    },
    wide('Name', ({ metadata }) => metadata.name),
  ],
}

function lastSeen(event: KubeObject): string | undefined {
  return (
    textAt(event, 'series.lastObservedTime') ||
    textAt(event, 'lastTimestamp') ||
    textAt(event, 'eventTime') ||
    event.metadata.creationTimestamp
  )
}

/** Returns the source of an old Event, or the reporting component of a new one. */
function sourceOf(event: KubeObject): string {
  const old = [textAt(event, 'source.component'), textAt(event, 'source.host')]
  const parts = old[0] === '' ? [textAt(event, 'reportingComponent'), textAt(event, 'reportingInstance')] : old
  return parts.filter(Boolean).join(', ')
}

export function columnsOf(resource: Resource): readonly Column[] {
  return byResource.get(resource) ?? byPlural[resource.plural] ?? [name, age]
}

function sizeOf(value: unknown): number {
  return isFields(value) ? Object.keys(value).length : 0
}

function subjects(kind: string) {
  return ({ subjects }: KubeObject): string =>
    listOfFields(subjects)
      .filter((subject) => subject['kind'] === kind)
      .map((subject) =>
        kind === 'ServiceAccount'
          ? `${textAt(subject, 'namespace')}/${textAt(subject, 'name')}`
          : textAt(subject, 'name'),
      )
      .join(', ')
}
