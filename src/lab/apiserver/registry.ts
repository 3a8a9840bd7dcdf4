// CREATE and UPDATE: defaults, validation and the metadata that the server owns. All of it is synchronous, so a check
// and the write that depends on it are atomic.
import { randomInt, randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { applyDefaults, initialStatus } from './defaults.ts'
import { Deletion, type DeleteOptions } from './deletion.ts'
import { type Fields, type KubeObject, type ObjectMeta, timestamp } from './kube-object.ts'
import { apiVersionOf, hasStatus, namespaces, nodes, type Resource, services } from './resources.ts'
import type { ServiceAddresses } from './service-addresses.ts'
import { alreadyExists, badRequest, conflict, forbidden, invalid, notFound } from './status-error.ts'
import type { Store } from './store.ts'
import { StoredObject } from './stored-object.ts'
import { validate } from './validate.ts'

/** The part that an update writes: everything but the status, or only the status. */
export type Part = 'object' | 'status'

export class Registry {
  readonly #store: Store
  readonly #addresses: ServiceAddresses
  readonly #deletion: Deletion

  constructor(store: Store, addresses: ServiceAddresses) {
    this.#store = store
    this.#addresses = addresses
    this.#deletion = new Deletion(store)
  }

  /** @throws StatusError 404 */
  get(resource: Resource, namespace: string | undefined, name: string): StoredObject {
    const stored = this.#store.table(resource).get(namespace, name)
    if (stored === undefined) throw notFound(resource, name)
    return stored
  }

  /**
   * Creates an object.
   * @param dryRun does everything but the write.
   * @throws StatusError 409 when the name is taken, 404 or 403 for a namespace that is missing or terminating, 422 for
   * an invalid object.
   */
  create(resource: Resource, namespace: string | undefined, body: KubeObject, dryRun = false): StoredObject {
    checkIdentity(resource, namespace, body)
    const table = this.#store.table(resource)
    const draft = structuredClone(body)
    draft.metadata = {
      ...draft.metadata,
      uid: randomUUID(),
      creationTimestamp: timestamp(),
      generation: 1,
      name: this.#nameFor(resource, namespace, draft.metadata),
    }
    if (namespace !== undefined) draft.metadata.namespace = namespace
    for (const field of [
      'resourceVersion',
      'deletionTimestamp',
      'deletionGracePeriodSeconds',
      'managedFields',
    ] as const)
      delete (draft.metadata as unknown as Fields)[field]
    // A kubelet registers its Node with a status; all other objects start without one.
    if (hasStatus(resource) && resource !== nodes) draft.status = initialStatus(resource)
    applyDefaults(resource, draft)
    if (namespace !== undefined) this.#checkNamespace(resource, namespace, draft.metadata.name)
    if (table.get(namespace, draft.metadata.name) !== undefined) throw alreadyExists(resource, draft.metadata.name)
    validate(resource, draft, undefined)
    if (resource === services) this.#addresses.assign(draft, undefined)
    return dryRun ? new StoredObject(draft, 0) : table.put(draft)
  }

  /**
   * Replaces an object. An update that changes nothing is not written.
   * @param change returns the new object; it must not modify the stored one.
   * @param dryRun does everything but the write.
   * @throws StatusError 404, 422, and 409 when the new object has another resourceVersion or uid than the stored one.
   */
  update(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    part: Part,
    change: (current: KubeObject) => KubeObject,
    dryRun = false,
  ): StoredObject {
    const table = this.#store.table(resource)
    const stored = this.get(resource, namespace, name)
    const current = stored.object
    const proposed = change(current)
    checkIdentity(resource, namespace, proposed)
    const { resourceVersion, uid } = proposed.metadata
    if (proposed.metadata.name !== name)
      throw badRequest(
        `the name of the object (${proposed.metadata.name}) does not match the name on the URL (${name})`,
      )
    if (uid !== undefined && uid !== '' && uid !== current.metadata.uid)
      throw conflict(
        resource,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
      )
    if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== String(stored.revision))
      throw conflict(
        resource,
        name,
        'the object has been modified; please apply your changes to the latest version and try again',
      )

    const draft = structuredClone(
      part === 'status' ? { ...current, status: proposed.status ?? {} } : withSystemFields(resource, proposed, current),
    )
    applyDefaults(resource, draft)
    if (resource === services && part === 'object') this.#addresses.assign(draft, current)
    validate(resource, draft, current)
    if (isDeepStrictEqual(draft, current)) return stored
    if (!isDeepStrictEqual(contentOf(draft), contentOf(current)))
      draft.metadata.generation = (current.metadata.generation ?? 0) + 1
    if (dryRun) return new StoredObject(draft, stored.revision)
    const written = table.put(draft)
    this.#deletion.afterUpdate(table, written)
    return written
  }

  /** @throws StatusError 404, 403, and 409 when a precondition fails. */
  delete(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: DeleteOptions,
  ): { object: KubeObject; gone: boolean } {
    return this.#deletion.delete(this.#store.table(resource), this.get(resource, namespace, name), options)
  }

  #nameFor(resource: Resource, namespace: string | undefined, { name, generateName }: ObjectMeta): string {
    if (name) return name
    if (!generateName)
      throw invalid(resource, '', [
        {
          reason: 'FieldValueRequired',
          field: 'metadata.name',
          message: 'Required value: name or generateName is required',
        },
      ])
    let generated: string
    do generated = generateName.slice(0, 248) + randomSuffix()
    while (this.#store.table(resource).get(namespace, generated) !== undefined)
    return generated
  }

  #checkNamespace(resource: Resource, namespace: string, name: string): void {
    const { metadata } = this.get(namespaces, undefined, namespace).object
    if (metadata.deletionTimestamp !== undefined)
      throw forbidden(
        resource,
        name,
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      )
  }
}

/** @throws StatusError 400 when the body is of another kind or namespace than the URL. */
function checkIdentity(
  resource: Resource,
  namespace: string | undefined,
  { kind, apiVersion, metadata }: KubeObject,
): void {
  if (kind !== resource.kind || apiVersion !== apiVersionOf(resource))
    throw badRequest(
      `Expected an object of kind ${resource.kind} in ${apiVersionOf(resource)}, ` +
        `got kind \`${kind}\` in \`${apiVersion}\``,
    )
  if (metadata.namespace !== undefined && metadata.namespace !== '' && metadata.namespace !== namespace)
    throw badRequest(
      'the namespace of the provided object does not match the namespace sent on the request ' +
        `(${metadata.namespace}, ${namespace ?? 'none'})`,
    )
}

/** Returns the proposed object with the current values of all fields that clients may not write. */
function withSystemFields(resource: Resource, proposed: KubeObject, current: KubeObject): KubeObject {
  const metadata: Fields = { ...proposed.metadata }
  for (const field of [
    'namespace',
    'uid',
    'resourceVersion',
    'generation',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generateName',
  ] as const) {
    if (current.metadata[field] === undefined) delete metadata[field]
    else metadata[field] = current.metadata[field]
  }
  delete metadata['managedFields']
  const next: KubeObject = { ...proposed, metadata: metadata as unknown as ObjectMeta }
  if (!hasStatus(resource)) return next
  delete next.status
  return current.status === undefined ? next : { ...next, status: current.status }
}

/** Returns the part of an object whose changes `metadata.generation` counts. */
function contentOf(object: KubeObject): Fields {
  const { metadata: _metadata, status: _status, ...content } = object
  return content
}

/** Returns five random characters that form no words (k8s.io/apimachinery util/rand). */
export function randomSuffix(): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789'
  return Array.from({ length: 5 }, () => alphabet[randomInt(alphabet.length)]).join('')
}
