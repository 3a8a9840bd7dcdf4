// Parses the path and the body of a request.
import type { IncomingMessage } from 'node:http'
import { parse } from 'yaml'
import { isFields, type KubeObject } from './kube-object.ts'
import { apiVersionOf, findResource, type Resource, type Subresource } from './resources.ts'
import { badRequest, pathNotFound, StatusError } from './status-error.ts'

/** The real server's limit. */
const bodyLimit = 3 * 1024 * 1024

export interface Target {
  readonly resource: Resource
  /** Undefined for a cluster-scoped resource, and for a list over all namespaces. */
  readonly namespace: string | undefined
  /** Undefined for the collection. */
  readonly name: string | undefined
  readonly subresource: Subresource | undefined
}

/** @throws StatusError 404 when the path leads to no known resource. */
export function parseTarget(path: string): Target {
  const [, root, ...parts] = path
    .replace(/\/$/, '')
    .split('/')
    .map((part) => decode(part))
  const group = root === 'apis' ? (parts.shift() ?? '') : ''
  const version = parts.shift() ?? ''
  // "namespaces/NAME/pods" is a scope; "namespaces/NAME" and "namespaces/NAME/status" are the Namespace object.
  const scoped = parts[0] === 'namespaces' && parts.length > 2 && parts[2] !== 'status'
  const namespace = scoped ? parts[1] : undefined
  const [plural = '', name, subresource, ...more] = scoped ? parts.slice(2) : parts
  const resource = findResource(group, version, plural)
  if ((root !== 'api' && root !== 'apis') || resource === undefined || more.length > 0) throw pathNotFound()
  if (scoped !== resource.namespaced && (scoped || name !== undefined)) throw pathNotFound()
  if (name === '' || namespace === '') throw pathNotFound()
  return { resource, namespace, name, subresource: parseSubresource(resource, subresource) }
}

function parseSubresource(resource: Resource, text: string | undefined): Subresource | undefined {
  if (text === undefined) return undefined
  const known = resource.subresources.find((sub) => sub === text)
  if (known === undefined) throw pathNotFound()
  return known
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch (error) {
    throw new StatusError(
      400,
      'BadRequest',
      `Expected a path in valid percent-encoding, got \`${part}\` (${(error as Error).message})`,
    )
  }
}

/**
 * Reads and parses the body; undefined for an empty one.
 * @throws StatusError 400, 413 or 415.
 */
export async function readBody(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length
    if (length > bodyLimit)
      throw new StatusError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bodyLimit}`)
    pieces.push(piece)
  }
  const text = Buffer.concat(pieces).toString()
  if (text.trim() === '') return undefined
  const type = mediaType(request)
  try {
    if (type.endsWith('yaml')) return parse(text) as unknown
    if (type.endsWith('json')) return JSON.parse(text) as unknown
  } catch (error) {
    throw badRequest(`the body is not valid ${type}: ${(error as Error).message}`)
  }
  throw new StatusError(
    415,
    'UnsupportedMediaType',
    'the body of the request was in an unknown format - ' +
      `accepted media types include: application/json, application/yaml (got ${type})`,
  )
}

/** Returns the content type without parameters; application/json by default. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? 'application/json').split(';')[0]?.trim().toLowerCase() ?? ''
}

/**
 * Reads the body as an object of the resource. kind and apiVersion are filled in if missing.
 * @throws StatusError 400
 */
export function asObject(resource: Resource, body: unknown): KubeObject {
  return asKind(body, { kind: resource.kind, apiVersion: apiVersionOf(resource) })
}

/**
 * Reads the body as an object of another kind, such as a Binding or a Scale.
 * @param missing kind and apiVersion if the body has none.
 * @throws StatusError 400
 */
export function asKind(body: unknown, missing: { kind: string; apiVersion: string }): KubeObject {
  if (!isFields(body)) throw badRequest('Expected the body to be an object')
  const given = body['metadata'] ?? {}
  if (!isFields(given)) throw badRequest('Expected metadata to be an object')
  const metadata = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
  for (const field of ['name', 'namespace', 'generateName', 'resourceVersion', 'uid'])
    if (metadata[field] !== undefined && typeof metadata[field] !== 'string')
      throw badRequest(`Expected metadata.${field} to be a string, got \`${JSON.stringify(metadata[field])}\``)
  for (const field of ['spec', 'status']) {
    if (body[field] === null) delete body[field]
    else if (body[field] !== undefined && !isFields(body[field])) throw badRequest(`Expected ${field} to be an object`)
  }
  return { ...missing, ...body, metadata } as unknown as KubeObject
}
