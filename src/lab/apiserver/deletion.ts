// DELETE, at once or in two steps. A bound pod first gets a deletionTimestamp; its kubelet stops it and deletes it with
// grace period 0. An object with finalizers waits until they are removed, a namespace until it is empty.
import { type KubeObject, timestamp } from './kube-object.ts'
import { namespaces, pods, type Resource } from './resources.ts'
import { conflict, forbidden } from './status-error.ts'
import type { Store, Table } from './store.ts'
import type { StoredObject } from './stored-object.ts'

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined
  readonly preconditions?:
    | { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined }
    | undefined
}

/** Namespaces that every cluster has and that cannot be deleted. */
export const systemNamespaces: readonly string[] = ['default', 'kube-system', 'kube-public', 'kube-node-lease']

export class Deletion {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Deletes an object, or marks it for deletion.
   * @returns the object in its current state, and whether it is gone.
   * @throws StatusError 409 when a precondition fails, 403 for a system namespace.
   */
  delete(table: Table, stored: StoredObject, options: DeleteOptions): { object: KubeObject; gone: boolean } {
    const { resource } = table
    const { object } = stored
    const { metadata } = object
    const { uid, resourceVersion } = options.preconditions ?? {}
    if (uid !== undefined && uid !== metadata.uid)
      throw conflict(
        resource,
        metadata.name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`,
      )
    if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
      throw conflict(
        resource,
        metadata.name,
        `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ` +
          `ResourceVersion in object meta: ${metadata.resourceVersion}`,
      )
    if (resource === namespaces && systemNamespaces.includes(metadata.name))
      throw forbidden(resource, metadata.name, 'this namespace may not be deleted')

    const grace = graceOf(resource, object, options)
    // A repeated request that does not shorten the grace period changes nothing.
    if (metadata.deletionTimestamp !== undefined && grace >= (metadata.deletionGracePeriodSeconds ?? 0))
      return this.#removeIfFree(table, stored)
    const status = resource === namespaces ? { status: { ...object.status, phase: 'Terminating' } } : {}
    const marked = {
      ...object,
      ...status,
      metadata: {
        ...metadata,
        deletionTimestamp: timestamp(Date.now() + grace * 1000),
        deletionGracePeriodSeconds: grace,
      },
    }
    // Watchers see the deletionTimestamp only if something delays the deletion.
    if (isFree(resource, marked)) return this.#remove(table, stored)
    const waiting = table.put(marked)
    if (resource === namespaces) this.#emptyNamespace(metadata.name)
    return this.#removeIfFree(table, table.get(undefined, metadata.name) ?? waiting)
  }

  /** Must be called after an update: if it removed the last finalizer, a pending deletion completes. */
  afterUpdate(table: Table, stored: StoredObject): void {
    if (stored.object.metadata.deletionTimestamp !== undefined) this.#removeIfFree(table, stored)
  }

  #removeIfFree(table: Table, stored: StoredObject): { object: KubeObject; gone: boolean } {
    const free =
      table.resource === namespaces ? this.#isEmpty(stored.object.metadata.name) : isFree(table.resource, stored.object)
    return free ? this.#remove(table, stored) : { object: stored.object, gone: false }
  }

  #remove(table: Table, stored: StoredObject): { object: KubeObject; gone: boolean } {
    table.remove(stored)
    const { namespace } = stored.object.metadata
    const parent = namespace === undefined ? undefined : this.#store.table(namespaces).get(undefined, namespace)
    if (parent !== undefined) this.afterUpdate(this.#store.table(namespaces), parent)
    return { object: stored.object, gone: true }
  }

  #emptyNamespace(namespace: string): void {
    for (const table of this.#store.tables()) {
      for (const stored of table.list())
        if (stored.object.metadata.namespace === namespace) this.delete(table, stored, {})
    }
  }

  #isEmpty(namespace: string): boolean {
    for (const table of this.#store.tables())
      if (table.list().some(({ object }) => object.metadata.namespace === namespace)) return false
    return true
  }
}

/** Returns the grace period in seconds: 0 unless the object is a pod that a kubelet runs. */
function graceOf(resource: Resource, { spec, status }: KubeObject, { gracePeriodSeconds }: DeleteOptions): number {
  if (resource !== pods) return 0
  if (!spec?.['nodeName'] || status?.['phase'] === 'Succeeded' || status?.['phase'] === 'Failed') return 0
  const own = spec['terminationGracePeriodSeconds']
  return Math.max(0, gracePeriodSeconds ?? (typeof own === 'number' ? own : 30))
}

/** Whether nothing delays the removal of an object that is marked for deletion. */
function isFree(resource: Resource, { metadata }: KubeObject): boolean {
  return (
    resource !== namespaces &&
    (metadata.finalizers ?? []).length === 0 &&
    (metadata.deletionGracePeriodSeconds ?? 0) === 0
  )
}
