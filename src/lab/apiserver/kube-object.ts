// A Kubernetes object as plain JSON. Only the metadata is typed; other fields are read one by one where they are used.

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

/** Returns "namespace/name", or the name for a cluster-scoped object. Lists are sorted by it, as on the real server. */
export function keyOf(namespace: string | undefined, name: string): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns the items of a list that are objects; [] for anything else. */
export function listOfFields(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter((item) => isFields(item)) : []
}

/** Returns the text at a path like "spec.nodeName"; '' when there is none, which is how field selectors see it. */
export function textAt(object: unknown, path: string): string {
  let value: unknown = object
  for (const field of path.split('.')) value = isFields(value) ? value[field] : undefined
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

/** Formats a time as the API does: UTC, whole seconds. */
export function timestamp(ms = Date.now()): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
