// Authorizes requests by RBAC, with the Roles and bindings in the store. Nothing is cached: a changed rule applies from
// the next request on.
import { masters, type User } from './authentication.ts'
import { type Fields, type KubeObject, listOfFields, textAt } from './kube-object.ts'
import { findResource, type Resource, type Subresource } from './resources.ts'
import { detailsOf, qualifiedName, StatusError } from './status-error.ts'
import type { Store } from './store.ts'

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'

/** What a request wants to do. */
export interface Intent {
  readonly verb: Verb
  readonly resource: Resource
  readonly subresource: Subresource | undefined
  readonly namespace: string | undefined
  readonly name: string | undefined
}

/** @throws StatusError 403 with the real server's message. */
export function authorize(store: Store, user: User, intent: Intent): void {
  if (user.groups.includes(masters) || isAllowed(store, user, intent)) return
  const { verb, resource, subresource, namespace, name } = intent
  const object = name === undefined ? qualifiedName(resource) : `${qualifiedName(resource)} "${name}"`
  const scope = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`
  const action = `${verb} resource "${pathOf(resource, subresource)}" in API group "${resource.group}" ${scope}`
  const message = `${object} is forbidden: User "${user.name}" cannot ${action}`
  throw new StatusError(403, 'Forbidden', message, detailsOf(resource, name ?? ''))
}

function isAllowed(store: Store, user: User, intent: Intent): boolean {
  const roles = [
    ...boundRoles(store, user, undefined),
    ...(intent.namespace === undefined ? [] : boundRoles(store, user, intent.namespace)),
  ]
  return roles.some((role) => listOfFields(role['rules']).some((rule) => allows(rule, intent)))
}

/** Returns the roles bound to the user in a namespace; without a namespace, by ClusterRoleBindings. */
function boundRoles(store: Store, user: User, namespace: string | undefined): KubeObject[] {
  const bindings = tableOf(store, namespace === undefined ? 'clusterrolebindings' : 'rolebindings').list()
  return bindings.flatMap(({ object: binding }) => {
    if (
      binding.metadata.namespace !== namespace ||
      !listOfFields(binding['subjects']).some((subject) => isSubject(subject, user, namespace))
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

function isSubject(subject: Fields, user: User, namespace: string | undefined): boolean {
  const name = textAt(subject, 'name')
  if (subject['kind'] === 'ServiceAccount')
    return user.name === `system:serviceaccount:${textAt(subject, 'namespace') || (namespace ?? '')}:${name}`
  return subject['kind'] === 'Group' ? user.groups.includes(name) : subject['kind'] === 'User' && user.name === name
}

function allows(rule: Fields, { verb, resource, subresource, name }: Intent): boolean {
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

/** Returns the path that rules use: "pods" or "pods/status". */
export function pathOf(resource: Resource, subresource: Subresource | undefined): string {
  return subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`
}

function tableOf(store: Store, plural: string) {
  const resource = findResource('rbac.authorization.k8s.io', 'v1', plural)
  if (resource === undefined) throw new Error(`Expected ${plural} to be among the resources`)
  return store.table(resource)
}
