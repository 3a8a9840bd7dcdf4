// RBAC objects of a new lab: the roles of its controllers and kubelets, and those of the agents from the same file that
// real clusters apply.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { dist } from '../processes.ts'
import type { Fields, KubeObject } from './kube-object.ts'

const rbac = 'rbac.authorization.k8s.io'
const read = ['get', 'list', 'watch']

/** Returns roles, bindings and service accounts, in the order in which they must be created. */
export function bootstrapObjects(): KubeObject[] {
  return [
    ...controllersAndAgents(),
    ...roleFor('fairlead-lab:kubelets', kubeletRules, { kind: 'Group', name: 'system:nodes' }),
  ]
}

/**
 * Returns the objects that a real API server needs too. It has no need of the kubelets' role, because its Node
 * authorizer gives kubelets the rights they need.
 */
export function controllersAndAgents(): KubeObject[] {
  return [
    ...roleFor('fairlead-lab:controllers', controllerRules, { kind: 'User', name: 'system:kube-controller-manager' }),
    ...agentObjects(),
  ]
}

const controllerRules: readonly Fields[] = [
  rule('', ['nodes'], [...read, 'patch']),
  rule('', ['nodes/status', 'services/status', 'pods/status'], ['patch']),
  rule('', ['pods'], [...read, 'create', 'delete']),
  rule('', ['pods/binding', 'events'], ['create', 'patch']),
  rule('', ['namespaces', 'services'], read),
  rule('apps', ['deployments', 'replicasets'], read),
  rule('apps', ['deployments/status'], ['patch']),
  rule('discovery.k8s.io', ['endpointslices'], [...read, 'create', 'update', 'patch', 'delete']),
]

const kubeletRules: readonly Fields[] = [
  rule('', ['nodes'], [...read, 'create']),
  rule('', ['pods'], [...read, 'delete']),
  rule('', ['nodes/status', 'pods/status'], ['patch']),
  rule('', ['events'], ['create', 'patch']),
]

function agentObjects(): KubeObject[] {
  const file = join(dist, '../deploy/base/rbac.yaml')
  return [...parseAllDocuments(readFileSync(file, 'utf8'))].map((document) => document.toJS() as KubeObject)
}

function roleFor(
  name: string,
  rules: readonly Fields[],
  subject: { kind: 'User' | 'Group'; name: string },
): KubeObject[] {
  const apiVersion = `${rbac}/v1`
  return [
    { apiVersion, kind: 'ClusterRole', metadata: { name }, rules },
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
      subjects: [{ apiGroup: rbac, ...subject }],
    },
  ]
}

function rule(group: string, resources: readonly string[], verbs: readonly string[]): Fields {
  return { apiGroups: [group], resources, verbs }
}
