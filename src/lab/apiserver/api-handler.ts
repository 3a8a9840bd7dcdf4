// Handles one request from its headers to its response: authentication, authorization and dispatch. Every rejection is
// a Status object.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import type { AuditLog } from './audit-log.ts'
import { authenticate, impersonate, type User } from './authentication.ts'
import { authorize, type Verb } from './authorization.ts'
import { discover } from './discovery.ts'
import { isWatch, parseListOptions } from './list-options.ts'
import type { Lister } from './list.ts'
import { servePodLog } from './pod-logs.ts'
import { presentationFor } from './presentation.ts'
import type { Registry } from './registry.ts'
import { parseTarget, type Target } from './request.ts'
import { ResourceWrites } from './resource-writes.ts'
import { methodNotAllowed, notImplemented, pathNotFound, StatusError, unauthorized } from './status-error.ts'
import type { Store } from './store.ts'
import { scaleOf } from './subresources.ts'
import type { Watchers } from './watch.ts'

export interface ApiParts {
  readonly store: Store
  readonly registry: Registry
  readonly lister: Lister
  readonly watchers: Watchers
  /** The key that signs tokens (authentication.ts). */
  readonly tokenKey: string
  /** The folder in which kubelets write the output of containers. */
  readonly podLogs: string | undefined
  readonly audit: AuditLog
  readonly log: Pick<Logger, 'debug' | 'error'>
}

const healthPaths: readonly string[] = ['/healthz', '/livez', '/readyz']

export class ApiHandler {
  readonly #parts: ApiParts
  readonly #writes: ResourceWrites

  constructor(parts: ApiParts) {
    this.#parts = parts
    this.#writes = new ResourceWrites(parts.registry, parts.store)
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { log, tokenKey } = this.#parts
    const url = new URL(request.url ?? '/', 'https://apiserver')
    // Health and version need no authentication; the real server's default roles allow the same.
    const user = authenticate(tokenKey, request.headers.authorization)
    response.on('finish', () =>
      log.debug(
        { method: request.method, path: request.url, user: user?.name, status: response.statusCode },
        'request',
      ),
    )
    try {
      if (healthPaths.includes(url.pathname))
        return void response.writeHead(200, { 'content-type': 'text/plain' }).end('ok')
      if (user === undefined && url.pathname !== '/version') throw unauthorized()
      const document = request.method === 'GET' ? discover(url.pathname, request.headers.accept ?? '') : undefined
      if (document !== undefined)
        return void response.writeHead(200, { 'content-type': document.contentType }).end(document.body)
      if (user === undefined) throw pathNotFound()
      const headers = request.headersDistinct
      const effectiveUser = impersonate(user, headers['impersonate-user']?.[0], headers['impersonate-group'] ?? [])
      await this.#resource(request, response, url, effectiveUser)
    } catch (error) {
      this.#reject(request, response, error)
    }
  }

  async #resource(request: IncomingMessage, response: ServerResponse, url: URL, user: User): Promise<void> {
    const target = parseTarget(url.pathname)
    const { resource, namespace, name, subresource } = target
    const verb = verbOf(request.method ?? '', name, isWatch(url.searchParams))
    authorize(this.#parts.store, user, { ...target, verb })
    this.#parts.audit.note(user, { ...target, verb })
    if (subresource === 'exec' || subresource === 'attach' || subresource === 'portforward')
      throw notImplemented(
        "the lab's API server cannot reach containers: " +
          `use 'fairlead lab exec ${name} -- COMMAND', which runs it in the pod`,
      )
    if (request.method !== 'GET') {
      const { code, body, warnings } = await this.#writes.write(request, target, url.searchParams)
      // RFC 9111. kubectl prints each as "Warning: ...".
      if (warnings.length > 0)
        response.setHeader(
          'warning',
          warnings.map((text) => `299 - ${JSON.stringify(text)}`),
        )
      return respond(response, code, body)
    }
    if (name !== undefined) return await this.#one(request, response, url, { ...target, name })
    const options = parseListOptions(resource, namespace, url.searchParams, isWatch(url.searchParams))
    const table = this.#parts.store.table(resource)
    const presentation = presentationFor(resource, request.headers.accept ?? '', url.searchParams)
    await (isWatch(url.searchParams) ? this.#parts.watchers : this.#parts.lister).serve(
      table,
      options,
      presentation,
      response,
    )
  }

  async #one(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    { resource, namespace, name, subresource }: Target & { name: string },
  ): Promise<void> {
    if (subresource === 'binding') throw methodNotAllowed()
    const { registry, store, podLogs } = this.#parts
    const stored = registry.get(resource, namespace, name)
    if (subresource === 'log')
      return await servePodLog(
        { directory: podLogs, pod: () => store.table(resource).get(namespace, name)?.object, query: url.searchParams },
        response,
      )
    if (subresource === 'scale') return respond(response, 200, scaleOf(stored.object))
    send(response, 200, presentationFor(resource, request.headers.accept ?? '', url.searchParams).one(stored))
  }

  #reject(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    if (!(error instanceof StatusError))
      this.#parts.log.error(
        { err: error, method: request.method, path: request.url },
        'a request failed inside the API server',
      )
    const status =
      error instanceof StatusError
        ? error
        : new StatusError(
            500,
            'InternalError',
            `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`,
          )
    if (response.headersSent) return void response.destroy()
    const { retryAfterSeconds } = status.details
    if (retryAfterSeconds !== undefined) response.setHeader('retry-after', retryAfterSeconds)
    // The unread rest of a rejected body would be parsed as the next request on the connection.
    if (!request.complete) response.setHeader('connection', 'close')
    respond(response, status.code, status.status())
  }
}

function respond(response: ServerResponse, code: number, body: object): void {
  send(response, code, JSON.stringify(body))
}

function send(response: ServerResponse, code: number, json: string): void {
  const text = `${json}\n`
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text)
}

/**
 * Returns the verb that RBAC knows for an HTTP method.
 * @throws StatusError 405
 */
function verbOf(method: string, name: string | undefined, watching: boolean): Verb {
  switch (method) {
    case 'GET':
      if (name !== undefined) return 'get'
      return watching ? 'watch' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return name === undefined ? 'deletecollection' : 'delete'
    default:
      throw methodNotAllowed()
  }
}
