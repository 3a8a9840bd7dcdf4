// A Kubernetes object as it travels: plain JSON with a known head. Bodies are looked into field by field, where someone
// acts on them.

export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec?: Fields
  status?: Fields
  [field: string]: unknown
}

export interface ObjectMeta {
  name: string
  namespace?: string
  generateName?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  /** RFC 3339, whole seconds. */
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  finalizers?: string[]
  labels?: Record<string, string>
  annotations?: Record<string, string>
  ownerReferences?: OwnerReference[]
}

export interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

export type Fields = Record<string, unknown>

/** "namespace/name", or the name alone for what has no namespace. Sorts as the real server lists. */
export function keyOf(namespace: string | undefined, name: string): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value as a list of objects; anything else in it is left out. */
export function listOfFields(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter((item) => isFields(item)) : []
}

/** The text at a path like "spec.nodeName"; '' where there is none, as field selectors see it. */
export function textAt(object: unknown, path: string): string {
  let value: unknown = object
  for (const field of path.split('.')) value = isFields(value) ? value[field] : undefined
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

/** Now as the API writes times: whole seconds, UTC. */
export function timestamp(ms = Date.now()): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
