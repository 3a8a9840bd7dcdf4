// Who may do what: RBAC, by the Roles and bindings that are stored here. Nothing is cached: a rule that was changed
// holds with the next request.
import { masters, type User } from './authentication.ts'
import { type Fields, type KubeObject, listOfFields, textAt } from './kube-object.ts'
import { findResource, type Resource, type Subresource } from './resources.ts'
import { detailsOf, qualifiedName, StatusError } from './status-error.ts'
import type { Store } from './store.ts'

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'

export interface Intent {
  readonly verb: Verb
  readonly resource: Resource
  readonly subresource: Subresource | undefined
  readonly namespace: string | undefined
  readonly name: string | undefined
}

/** @throws StatusError 403 in the words of the real server. */
export function authorize(store: Store, user: User, intent: Intent): void {
  if (user.groups.includes(masters) || isAllowed(store, user, intent)) return
  const { verb, resource, subresource, namespace, name } = intent
  const what = name === undefined ? qualifiedName(resource) : `${qualifiedName(resource)} "${name}"`
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`
  const full = `${what} is forbidden: User "${user.name}" cannot ${verb} resource "${pathOf(resource, subresource)}" in API group "${resource.group}" ${where}`
  throw new StatusError(403, 'Forbidden', full, detailsOf(resource, name ?? ''))
}

function isAllowed(store: Store, user: User, intent: Intent): boolean {
  const roles = [
    ...boundRoles(store, user, undefined),
    ...(intent.namespace === undefined ? [] : boundRoles(store, user, intent.namespace)),
  ]
  return roles.some((role) => listOfFields(role['rules']).some((rule) => covers(rule, intent)))
}

/** The roles that the user has in a namespace, or in all of the cluster. */
function boundRoles(store: Store, user: User, namespace: string | undefined): KubeObject[] {
  const bindings = tableOf(store, namespace === undefined ? 'clusterrolebindings' : 'rolebindings').list()
  return bindings.flatMap(({ object: binding }) => {
    if (
      binding.metadata.namespace !== namespace ||
      !listOfFields(binding['subjects']).some((subject) => isMeant(subject, user, namespace))
    )
      return []
    const isClusterRole = textAt(binding, 'roleRef.kind') === 'ClusterRole'
    const role = tableOf(store, isClusterRole ? 'clusterroles' : 'roles').get(
      isClusterRole ? undefined : namespace,
      textAt(binding, 'roleRef.name'),
    )
    return role === undefined ? [] : [role.object]
  })
}

function isMeant(subject: Fields, user: User, namespace: string | undefined): boolean {
  const name = textAt(subject, 'name')
  if (subject['kind'] === 'ServiceAccount')
    return user.name === `system:serviceaccount:${textAt(subject, 'namespace') || (namespace ?? '')}:${name}`
  return subject['kind'] === 'Group' ? user.groups.includes(name) : subject['kind'] === 'User' && user.name === name
}

function covers(rule: Fields, { verb, resource, subresource, name }: Intent): boolean {
  const has = (field: string, ...wanted: readonly string[]): boolean => {
    const values = rule[field]
    return Array.isArray(values) && values.some((value) => value === '*' || wanted.includes(String(value)))
  }
  const path = pathOf(resource, subresource)
  const named = Array.isArray(rule['resourceNames']) && rule['resourceNames'].length > 0
  return (
    has('verbs', verb) &&
    has('apiGroups', resource.group) &&
    has('resources', path, ...(subresource === undefined ? [] : [`*/${subresource}`])) &&
    (!named || has('resourceNames', name ?? ''))
  )
}

/** "pods" or "pods/status", as rules name it. */
export function pathOf(resource: Resource, subresource: Subresource | undefined): string {
  return subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`
}

function tableOf(store: Store, plural: string) {
  const resource = findResource('rbac.authorization.k8s.io', 'v1', plural)
  if (resource === undefined) throw new Error(`Expected ${plural} to be among the resources`)
  return store.table(resource)
}
