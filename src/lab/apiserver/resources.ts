// The resources of this server, in one table for discovery, routing, validation and selectors.

export interface Resource {
  /** '' for the core group. */
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly singular: string
  readonly kind: string
  readonly shortNames: readonly string[]
  readonly namespaced: boolean
  readonly subresources: readonly Subresource[]
  /** Whether `kubectl get all` includes it. */
  readonly inAll: boolean
  /** The fields that field selectors may use besides metadata.name and metadata.namespace. */
  readonly selectable: readonly string[]
}

export type Subresource = 'status' | 'scale' | 'binding' | 'log' | 'exec' | 'attach' | 'portforward'

type Row = Partial<Omit<Resource, 'group' | 'version' | 'plural' | 'kind'>>

const podFields = [
  'spec.nodeName',
  'spec.restartPolicy',
  'spec.schedulerName',
  'spec.serviceAccountName',
  'spec.hostNetwork',
  'status.phase',
  'status.podIP',
  'status.nominatedNodeName',
]
const eventFields = [
  'involvedObject.kind',
  'involvedObject.namespace',
  'involvedObject.name',
  'involvedObject.uid',
  'involvedObject.apiVersion',
  'involvedObject.fieldPath',
  'reason',
  'reportingComponent',
  'source',
  'type',
]

export const namespaces = resource('', 'namespaces', 'Namespace', {
  shortNames: ['ns'],
  namespaced: false,
  subresources: ['status'],
  selectable: ['status.phase'],
})
export const nodes = resource('', 'nodes', 'Node', {
  shortNames: ['no'],
  namespaced: false,
  subresources: ['status'],
  selectable: ['spec.unschedulable'],
})
export const pods = resource('', 'pods', 'Pod', {
  shortNames: ['po'],
  subresources: ['status', 'binding', 'log', 'exec', 'attach', 'portforward'],
  inAll: true,
  selectable: podFields,
})
export const services = resource('', 'services', 'Service', {
  shortNames: ['svc'],
  subresources: ['status'],
  inAll: true,
  selectable: ['spec.clusterIP', 'spec.type'],
})
export const deployments = resource('apps/v1', 'deployments', 'Deployment', {
  shortNames: ['deploy'],
  subresources: ['status', 'scale'],
  inAll: true,
})
export const replicaSets = resource('apps/v1', 'replicasets', 'ReplicaSet', {
  shortNames: ['rs'],
  subresources: ['status', 'scale'],
  inAll: true,
  selectable: ['status.replicas'],
})
export const events = resource('', 'events', 'Event', { shortNames: ['ev'], selectable: eventFields })
/** The same objects as {@link events} under other field names (events.ts). */
export const eventsV1 = resource('events.k8s.io/v1', 'events', 'Event', {
  shortNames: ['ev'],
  selectable: [
    'regarding.kind',
    'regarding.namespace',
    'regarding.name',
    'regarding.uid',
    'regarding.apiVersion',
    'regarding.fieldPath',
    'reason',
    'reportingController',
    'type',
  ],
})
export const endpointSlices = resource('discovery.k8s.io/v1', 'endpointslices', 'EndpointSlice', {})
export const serviceCidrs = resource('networking.k8s.io/v1', 'servicecidrs', 'ServiceCIDR', {
  namespaced: false,
  subresources: ['status'],
})
export const networkPolicies = resource('networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy', {
  shortNames: ['netpol'],
})

export const resources: readonly Resource[] = [
  namespaces,
  nodes,
  pods,
  services,
  resource('', 'endpoints', 'Endpoints', { singular: 'endpoints', shortNames: ['ep'] }),
  resource('', 'configmaps', 'ConfigMap', { shortNames: ['cm'] }),
  resource('', 'secrets', 'Secret', { selectable: ['type'] }),
  resource('', 'serviceaccounts', 'ServiceAccount', { shortNames: ['sa'] }),
  events,
  eventsV1,
  deployments,
  replicaSets,
  resource('apps/v1', 'daemonsets', 'DaemonSet', { shortNames: ['ds'], subresources: ['status'], inAll: true }),
  endpointSlices,
  networkPolicies,
  serviceCidrs,
  resource('coordination.k8s.io/v1', 'leases', 'Lease', {}),
  resource('rbac.authorization.k8s.io/v1', 'roles', 'Role', {}),
  resource('rbac.authorization.k8s.io/v1', 'rolebindings', 'RoleBinding', {}),
  resource('rbac.authorization.k8s.io/v1', 'clusterroles', 'ClusterRole', { namespaced: false }),
  resource('rbac.authorization.k8s.io/v1', 'clusterrolebindings', 'ClusterRoleBinding', { namespaced: false }),
]

const byPath = new Map(resources.map((r) => [`${r.group}/${r.version}/${r.plural}`, r]))

export function findResource(group: string, version: string, plural: string): Resource | undefined {
  return byPath.get(`${group}/${version}/${plural}`)
}

/** Returns the resource of an object by its apiVersion and kind. */
export function resourceOfKind(apiVersion: string, kind: string): Resource | undefined {
  return resources.find((resource) => resource.kind === kind && apiVersionOf(resource) === apiVersion)
}

/** Returns the apiVersion of the resource's objects: "v1" or "apps/v1". */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

/** Whether `.status` is written only through /status. */
export function hasStatus(resource: Resource): boolean {
  return resource.subresources.includes('status')
}

function resource(apiVersion: string, plural: string, kind: string, row: Row): Resource {
  const [group = '', version = 'v1'] = apiVersion.split('/')
  return {
    group,
    version,
    plural,
    singular: kind.toLowerCase(),
    kind,
    shortNames: [],
    namespaced: true,
    subresources: [],
    inAll: false,
    selectable: [],
    ...row,
  }
}
