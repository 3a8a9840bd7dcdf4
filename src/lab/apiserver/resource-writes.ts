// POST, PUT, PATCH and DELETE of resources: bodies into calls of the registry.
import type { IncomingMessage } from 'node:http'
import type { DeleteOptions } from './deletion.ts'
import { isFields, type KubeObject } from './kube-object.ts'
import { parseListOptions } from './list-options.ts'
import { jsonPatch, mergePatch } from './patch.ts'
import type { Registry } from './registry.ts'
import { asKind, asObject, mediaType, readBody, type Target } from './request.ts'
import { apiVersionOf, type Resource } from './resources.ts'
import { badRequest, detailsOf, methodNotAllowed, StatusError, successStatus } from './status-error.ts'
import type { Store } from './store.ts'
import { strategicMerge } from './strategic-merge.ts'
import { bindPod, updateScale } from './subresources.ts'

export interface Answer {
  readonly code: number
  readonly body: object
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

  /** @throws StatusError for whatever the request may not or cannot do. */
  async write(request: IncomingMessage, target: Target, query: URLSearchParams): Promise<Answer> {
    const { method } = request
    if (query.get('dryRun')) throw badRequest('Expected a request without dryRun: the lab does what it is asked')
    if (method === 'PATCH') return this.#patch(patcherOf(request), await readBody(request), target)
    const body = await readBody(request)
    if (method === 'POST') return this.#create(body, target)
    if (method === 'PUT') return this.#replace(body, target)
    if (method === 'DELETE') return this.#delete(body, target, query)
    throw methodNotAllowed()
  }

  #create(body: unknown, { resource, namespace, name, subresource }: Target): Answer {
    if (name !== undefined && namespace !== undefined && subresource === 'binding') return { code: 201, body: bindPod(this.#registry, namespace, name, asKind(body, { kind: 'Binding', apiVersion: 'v1' })) }
    if (name !== undefined || (resource.namespaced && namespace === undefined)) throw methodNotAllowed()
    return { code: 201, body: this.#registry.create(resource, namespace, asObject(resource, body)).object }
  }

  #replace(body: unknown, target: Target): Answer {
    const expected = target.subresource === 'scale' ? { kind: 'Scale', apiVersion: 'autoscaling/v1' } : { kind: target.resource.kind, apiVersion: apiVersionOf(target.resource) }
    const proposed = asKind(body, expected)
    return this.#update(target, () => proposed)
  }

  #patch(patcher: Patcher, patch: unknown, target: Target): Answer {
    return this.#update(target, (current) => {
      const { kind, apiVersion } = current
      return asKind(patcher(current, patch), { kind, apiVersion })
    })
  }

  #update({ resource, namespace, name, subresource }: Target, change: (current: KubeObject) => KubeObject): Answer {
    if (name === undefined || subresource === 'binding') throw methodNotAllowed()
    if (subresource === 'scale') return { code: 200, body: updateScale(this.#registry, resource, namespace ?? '', name, change) }
    return { code: 200, body: this.#registry.update(resource, namespace, name, subresource === 'status' ? 'status' : 'object', change).object }
  }

  #delete(body: unknown, { resource, namespace, name, subresource }: Target, query: URLSearchParams): Answer {
    if (subresource !== undefined) throw methodNotAllowed()
    const options = deleteOptions(body, query)
    if (name === undefined) return this.#deleteCollection(resource, namespace, query, options)
    const { object, gone } = this.#registry.delete(resource, namespace, name, options)
    // A pod is always shown; of others only those that stay for a while.
    if (!gone || resource.kind === 'Pod') return { code: 200, body: object }
    const { uid } = object.metadata
    return { code: 200, body: successStatus({ ...detailsOf(resource, name), ...(uid === undefined ? {} : { uid }) }) }
  }

  #deleteCollection(resource: Resource, namespace: string | undefined, query: URLSearchParams, options: DeleteOptions): Answer {
    const { matches } = parseListOptions(resource, namespace, query, false)
    const chosen = this.#store.table(resource).list().filter(({ object }) => matches(object))
    const items = chosen.map(({ object: { metadata } }) => this.#registry.delete(resource, metadata.namespace, metadata.name, options).object)
    return { code: 200, body: { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata: { resourceVersion: String(this.#store.revision) }, items } }
  }
}

/** @throws StatusError 415 for a kind of patch that we do not take: server-side apply above all. */
function patcherOf(request: IncomingMessage): Patcher {
  const type = mediaType(request)
  const patcher = Object.hasOwn(patchers, type) ? patchers[type] : undefined
  if (patcher === undefined) throw new StatusError(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - accepted media types include: ${Object.keys(patchers).join(', ')} (got ${type}; with kubectl, leave --server-side out)`)
  return patcher
}

/** From the body, or from the query where there is none. @throws StatusError 400 */
function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const given = isFields(body) ? body : {}
  if (given['dryRun'] !== undefined) throw badRequest('Expected a request without dryRun: the lab does what it is asked')
  const grace = given['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds') ?? undefined
  const preconditions = isFields(given['preconditions']) ? given['preconditions'] : {}
  if (grace !== undefined && !Number.isInteger(Number(grace))) throw badRequest(`Expected gracePeriodSeconds to be a whole number, got \`${JSON.stringify(grace)}\``)
  return { gracePeriodSeconds: grace === undefined ? undefined : Number(grace), preconditions: { uid: textOf(preconditions['uid']), resourceVersion: textOf(preconditions['resourceVersion']) } }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
