// POST, PUT, PATCH and DELETE of resources: converts request bodies to calls of the registry.
import type { IncomingMessage } from 'node:http'
import type { DeleteOptions } from './deletion.ts'
import { asServed, asStored, storedAs } from './events.ts'
import { isFields, type KubeObject } from './kube-object.ts'
import { parseListOptions } from './list-options.ts'
import { withKnownFields } from './openapi/unknown-fields.ts'
import { jsonPatch, mergePatch } from './patch.ts'
import type { Registry } from './registry.ts'
import { asKind, asObject, mediaType, readBody, type Target } from './request.ts'
import { apiVersionOf, eventsV1, type Resource } from './resources.ts'
import { badRequest, detailsOf, methodNotAllowed, StatusError, successStatus } from './status-error.ts'
import type { Store } from './store.ts'
import { strategicMerge } from './strategic-merge.ts'
import { bindPod, scaleKind, updateScale } from './subresources.ts'
import { validateEvent } from './validate-event.ts'
import { parseWriteOptions, type WriteOptions } from './write-options.ts'

export interface WriteResponse {
  readonly code: number
  readonly body: object
  /** Problems of the request that did not prevent it. */
  readonly warnings: readonly string[]
}

type Patcher = (target: unknown, patch: unknown) => unknown

const patchers: Readonly<Record<string, Patcher>> = {
  'application/merge-patch+json': mergePatch,
  'application/json-patch+json': jsonPatch,
  'application/strategic-merge-patch+json': strategicMerge,
}

export class ResourceWrites {
  readonly #registry: Registry
  readonly #store: Store

  constructor(registry: Registry, store: Store) {
    this.#registry = registry
    this.#store = store
  }

  /** @throws StatusError when the request is not allowed or cannot be done. */
  async write(request: IncomingMessage, target: Target, query: URLSearchParams): Promise<WriteResponse> {
    const { method } = request
    const patcher = method === 'PATCH' ? patcherOf(request) : undefined
    const body = await readBody(request)
    const options = parseWriteOptions(query, method === 'DELETE' ? body : undefined)
    if (patcher !== undefined) return this.#patch(patcher, body, target, options)
    if (method === 'POST') return this.#create(body, target, options)
    if (method === 'PUT') return this.#replace(body, target, options)
    if (method === 'DELETE') return this.#delete(body, target, query, options)
    throw methodNotAllowed()
  }

  #create(
    body: unknown,
    { resource, namespace, name, subresource }: Target,
    { dryRun, fieldValidation }: WriteOptions,
  ): WriteResponse {
    if (name !== undefined && namespace !== undefined && subresource === 'binding')
      return {
        code: 201,
        body: bindPod(this.#registry, namespace, name, asKind(body, { kind: 'Binding', apiVersion: 'v1' })),
        warnings: [],
      }
    if (name !== undefined || (resource.namespaced && namespace === undefined)) throw methodNotAllowed()
    const { object, warnings } = withKnownFields(resource, asObject(resource, body), fieldValidation)
    if (resource === eventsV1) validateEvent(object, undefined)
    const stored = this.#registry.create(storedAs(resource), namespace, asStored(resource, object), dryRun)
    return { code: 201, body: asServed(resource, stored.object), warnings }
  }

  #replace(body: unknown, target: Target, options: WriteOptions): WriteResponse {
    const expected =
      target.subresource === 'scale'
        ? scaleKind
        : { kind: target.resource.kind, apiVersion: apiVersionOf(target.resource) }
    const proposed = asKind(body, expected)
    return this.#update(target, () => proposed, options)
  }

  #patch(patcher: Patcher, patch: unknown, target: Target, options: WriteOptions): WriteResponse {
    const change = (current: KubeObject): KubeObject =>
      asKind(patcher(current, patch), { kind: current.kind, apiVersion: current.apiVersion })
    return this.#update(target, change, options)
  }

  #update(
    { resource, namespace, name, subresource }: Target,
    change: (current: KubeObject) => KubeObject,
    { dryRun, fieldValidation }: WriteOptions,
  ): WriteResponse {
    if (name === undefined || subresource === 'binding' || subresource === 'log') throw methodNotAllowed()
    if (subresource === 'scale')
      return {
        code: 200,
        body: updateScale(this.#registry, resource, namespace ?? '', name, change, dryRun),
        warnings: [],
      }
    let warnings: readonly string[] = []
    const checked = (stored: KubeObject): KubeObject => {
      const current = asServed(resource, stored)
      const known = withKnownFields(resource, change(current), fieldValidation)
      warnings = known.warnings
      if (resource === eventsV1) validateEvent(known.object, current)
      return asStored(resource, known.object)
    }
    const { object } = this.#registry.update(
      storedAs(resource),
      namespace,
      name,
      subresource === 'status' ? 'status' : 'object',
      checked,
      dryRun,
    )
    return { code: 200, body: asServed(resource, object), warnings }
  }

  #delete(
    body: unknown,
    { resource, namespace, name, subresource }: Target,
    query: URLSearchParams,
    { dryRun }: WriteOptions,
  ): WriteResponse {
    if (subresource !== undefined) throw methodNotAllowed()
    const options = deleteOptions(body, query)
    if (name === undefined) return this.#deleteCollection(resource, namespace, query, options, dryRun)
    const { object, gone } = dryRun
      ? { object: this.#registry.get(resource, namespace, name).object, gone: true }
      : this.#registry.delete(resource, namespace, name, options)
    // The response shows a pod in any case, and other objects only if they are not gone yet.
    if (!gone || resource.kind === 'Pod') return { code: 200, body: object, warnings: [] }
    const { uid } = object.metadata
    return {
      code: 200,
      body: successStatus({ ...detailsOf(resource, name), ...(uid === undefined ? {} : { uid }) }),
      warnings: [],
    }
  }

  #deleteCollection(
    resource: Resource,
    namespace: string | undefined,
    query: URLSearchParams,
    options: DeleteOptions,
    dryRun: boolean,
  ): WriteResponse {
    const { matches } = parseListOptions(resource, namespace, query, false)
    const chosen = this.#store
      .table(resource)
      .list()
      .filter(({ object }) => matches(object))
    const items = chosen.map(({ object }) =>
      dryRun
        ? object
        : this.#registry.delete(resource, object.metadata.namespace, object.metadata.name, options).object,
    )
    return {
      code: 200,
      body: {
        kind: `${resource.kind}List`,
        apiVersion: apiVersionOf(resource),
        metadata: { resourceVersion: String(this.#store.revision) },
        items,
      },
      warnings: [],
    }
  }
}

/** @throws StatusError 415 for an unsupported kind of patch, such as server-side apply. */
function patcherOf(request: IncomingMessage): Patcher {
  const type = mediaType(request)
  const patcher = Object.hasOwn(patchers, type) ? patchers[type] : undefined
  if (patcher === undefined) {
    const accepted = `accepted media types include: ${Object.keys(patchers).join(', ')} (got ${type})`
    const hint =
      type === 'application/apply-patch+yaml'
        ? ': the lab supports client-side apply only; with kubectl, omit --server-side'
        : ''
    throw new StatusError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - ${accepted}${hint}`,
    )
  }
  return patcher
}

/**
 * Reads the options from the body, or from the query when there is no body.
 * @throws StatusError 400
 */
function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const given = isFields(body) ? body : {}
  const grace = given['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds') ?? undefined
  const preconditions = isFields(given['preconditions']) ? given['preconditions'] : {}
  if (grace !== undefined && !Number.isInteger(Number(grace)))
    throw badRequest(`Expected gracePeriodSeconds to be a whole number, got \`${JSON.stringify(grace)}\``)
  return {
    gracePeriodSeconds: grace === undefined ? undefined : Number(grace),
    preconditions: { uid: textOf(preconditions['uid']), resourceVersion: textOf(preconditions['resourceVersion']) },
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
