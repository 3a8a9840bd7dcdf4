// One request, from its head to its answer: who asks, what for, and whose work it is. Every refusal is a Status object.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { authenticate, type User } from './authentication.ts'
import { discover } from './discovery.ts'
import { isWatch, parseListOptions } from './list-options.ts'
import type { Lister } from './list.ts'
import type { Registry } from './registry.ts'
import { parseTarget } from './request.ts'
import { ResourceWrites } from './resource-writes.ts'
import { forbidden, methodNotAllowed, noSuchPath, StatusError, unauthorized } from './status-error.ts'
import type { Store } from './store.ts'
import { scaleOf } from './subresources.ts'
import type { Watchers } from './watch.ts'

export interface ApiParts {
  readonly store: Store
  readonly registry: Registry
  readonly lister: Lister
  readonly watchers: Watchers
  /** Seals the tokens (authentication.ts). */
  readonly tokenKey: string
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
    // Health and version are told to anyone, as the real server does by its default roles.
    const user = authenticate(tokenKey, request.headers.authorization)
    response.on('finish', () => log.debug({ method: request.method, path: request.url, user: user?.name, status: response.statusCode }, 'request'))
    try {
      if (healthPaths.includes(url.pathname)) return void response.writeHead(200, { 'content-type': 'text/plain' }).end('ok')
      if (user === undefined && url.pathname !== '/version') throw unauthorized()
      const document = request.method === 'GET' ? discover(url.pathname, request.headers.accept ?? '') : undefined
      if (document !== undefined) return void response.writeHead(200, { 'content-type': document.contentType }).end(document.body)
      if (user === undefined) throw noSuchPath()
      await this.#resource(request, response, url, user)
    } catch (error) {
      this.#refuse(request, response, error)
    }
  }

  async #resource(request: IncomingMessage, response: ServerResponse, url: URL, user: User): Promise<void> {
    const target = parseTarget(url.pathname)
    const { resource, namespace, name, subresource } = target
    if (request.method !== 'GET') {
      if (user.readOnly) throw forbidden(resource, name ?? '', `User "${user.name}" may read and nothing else`)
      const { code, body } = await this.#writes.write(request, target, url.searchParams)
      return answer(response, code, body)
    }
    if (name !== undefined) {
      if (subresource === 'binding') throw methodNotAllowed()
      const stored = this.#parts.registry.get(resource, namespace, name)
      return answer(response, 200, subresource === 'scale' ? scaleOf(stored.object) : stored.object)
    }
    const options = parseListOptions(resource, namespace, url.searchParams, isWatch(url.searchParams))
    const table = this.#parts.store.table(resource)
    await (isWatch(url.searchParams) ? this.#parts.watchers.serve(table, options, response) : this.#parts.lister.serve(table, options, response))
  }

  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    if (!(error instanceof StatusError)) this.#parts.log.error({ err: error, method: request.method, path: request.url }, 'a request failed inside the API server')
    const status = error instanceof StatusError ? error : new StatusError(500, 'InternalError', `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`)
    if (response.headersSent) return void response.destroy()
    const { retryAfterSeconds } = status.details
    if (retryAfterSeconds !== undefined) response.setHeader('retry-after', retryAfterSeconds)
    // What is left of a body that was refused unread would be taken for the next request.
    if (!request.complete) response.setHeader('connection', 'close')
    answer(response, status.code, status.status())
  }
}

function answer(response: ServerResponse, code: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text)
}
