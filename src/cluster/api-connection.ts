// HTTP to one API server: plain requests, and streams of lines for watches. Every request has a time limit for the
// start of the response and for the whole of it, and TCP keep-alive detects a dead peer: a watch that is silently dead
// would freeze the node.
import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { apiErrorOf } from './api-error.ts'
import { Recovery } from './recovery.ts'
import { chunksOf, linesOf, textOf } from './response-body.ts'
import { ServerChoice, type ServerChoiceParts } from './server-choice.ts'

/** The addresses of the server and our credentials. They are read for each request, so a rotated token takes effect. */
export interface Credentials {
  readonly servers: ServerChoiceParts
  requestOptions(): Promise<CredentialOptions>
  /**
   * Drops cached credentials after the server rejected them.
   * @throws {Error} when the source cannot be read; the old credentials stay in use.
   */
  reload(): void
}

/** TLS settings and headers. `agent` is set only when the connection needs a proxy. */
export type CredentialOptions = Omit<https.RequestOptions, 'headers'> & { headers: http.OutgoingHttpHeaders }

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

export interface StreamLimits {
  readonly signal: AbortSignal
  /** ms until the response headers must have arrived. */
  readonly headersTimeoutMs: number
  /** ms until the response is cut off, complete or not. */
  readonly deadlineMs: number
}

export interface LineStream {
  readonly status: number
  /** Seconds from the Retry-After header, if there is one. */
  readonly retryAfter: number | undefined
  /** Throws when the connection ends before the response does. Leaving the loop early closes the connection. */
  readonly lines: AsyncIterable<Buffer>
}

export interface RequestSettings {
  readonly query?: Query
  /** Sent as JSON. */
  readonly body?: unknown
  /** "application/json" by default; patches name their type, such as "application/merge-patch+json". */
  readonly contentType?: string
  readonly signal?: AbortSignal
  /** ms; 30 s by default. */
  readonly headersTimeoutMs?: number
  /** ms for the whole exchange; 60 s by default, the API server's own request timeout. */
  readonly deadlineMs?: number
}

interface Exchange extends Partial<StreamLimits> {
  readonly headersTimeoutMs: number
  readonly deadlineMs: number
  readonly query: Query
  readonly content?: { readonly type: string; readonly bytes: Buffer }
}

/** ms to wait for a candidate address: connections to a ClusterIP without a proxy hang. */
const probeTimeoutMs = 3000

/** ms of silence before TCP keep-alive. The kernel then probes every second and gives up after ten probes (libuv). */
const keepAliveMs = 30_000

export class ApiConnection {
  /** Shared by all reflectors of this connection. */
  readonly recovery = new Recovery()
  readonly #credentials: Credentials
  readonly #servers: ServerChoice
  readonly #agents: Readonly<Record<'http:' | 'https:', http.Agent>>
  readonly #sockets = new LocalAddressWatch()

  constructor(credentials: Credentials) {
    this.#credentials = credentials
    this.#servers = new ServerChoice(credentials.servers, async (server) => await this.#probe(server))
    const pool = { keepAlive: true, keepAliveMsecs: keepAliveMs }
    this.#agents = { 'http:': new http.Agent(pool), 'https:': new https.Agent(pool) }
  }

  /**
   * The server's address, for messages: "https://HOST:PORT"; all candidates, joined by "or", until one has answered.
   */
  get server(): string {
    return this.#servers.text
  }

  /** URLs that requests go to, as far as Services do not lead there. */
  get places(): readonly string[] {
    return this.#servers.places
  }

  /**
   * GETs a path whose response is an endless stream of lines. Resolves for any status.
   * @throws {Error} when there is no response.
   */
  async stream(path: string, query: Query, limits: StreamLimits): Promise<LineStream> {
    const response = await this.#exchange('GET', path, { ...limits, query })
    return {
      status: response.statusCode ?? 0,
      retryAfter: retryAfterOf(response),
      lines: linesOf(chunksOf(response, `GET ${this.server}${path}`)),
    }
  }

  /**
   * Sends a request and reads the JSON response.
   * @returns the parsed body, undefined for an empty one.
   * @throws {ApiError} on any status but 2xx.
   * @throws {Error} when there is no response.
   */
  async request<T>(method: string, path: string, settings: RequestSettings = {}): Promise<T> {
    const {
      query = {},
      body,
      contentType = 'application/json',
      signal,
      headersTimeoutMs = 30_000,
      deadlineMs = 60_000,
    } = settings
    const response = await this.#exchange(method, path, {
      query,
      headersTimeoutMs,
      deadlineMs,
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined ? {} : { content: { type: contentType, bytes: Buffer.from(JSON.stringify(body)) } }),
    })
    const text = await textOf(chunksOf(response, `${method} ${this.server}${path}`))
    const status = response.statusCode ?? 0
    if (status < 200 || status > 299)
      throw apiErrorOf(`${method} ${this.server}${path}`, { status, retryAfter: retryAfterOf(response) }, text)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  /** Sends a request; after a 401 it sends it once more, if reloading yields other credentials. */
  async #exchange(method: string, path: string, exchange: Exchange): Promise<http.IncomingMessage> {
    const server = await this.#servers.server()
    const options = await this.#credentials.requestOptions()
    const send = async (settings: CredentialOptions) => await this.#send(server, { method, path }, exchange, settings)
    const response = await send(options)
    if (response.statusCode !== 401) return response
    this.#credentials.reload()
    const fresh = await this.#credentials.requestOptions()
    if (fresh.headers['Authorization'] === options.headers['Authorization']) return response
    response.destroy()
    return await send(fresh)
  }

  /** Checks that a server answers. Any status will do: the certificate proves that it is the cluster's server. */
  async #probe(server: string): Promise<void> {
    const response = await this.#send(
      server,
      { method: 'GET', path: '/version' },
      { query: {}, headersTimeoutMs: probeTimeoutMs, deadlineMs: probeTimeoutMs },
      await this.#credentials.requestOptions(),
    )
    response.destroy()
  }

  async #send(
    server: string,
    { method, path }: { method: string; path: string },
    exchange: Exchange,
    options: CredentialOptions,
  ): Promise<http.IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>()
    const { content, signal, headersTimeoutMs, deadlineMs } = exchange
    const url = `${server}${path}${searchOf(exchange.query)}`
    const headers = {
      accept: 'application/json',
      ...options.headers,
      ...(content === undefined ? {} : { 'content-type': content.type, 'content-length': content.bytes.length }),
    }
    const secure = server.startsWith('https:')
    const { request } = secure ? https : http
    const outgoing = request(url, {
      ...options,
      method,
      headers,
      agent: options.agent ?? this.#agents[secure ? 'https:' : 'http:'],
      ...(signal === undefined ? {} : { signal }),
    })
    let incoming: http.IncomingMessage | undefined
    const cutOff = (ms: number, what: string): NodeJS.Timeout =>
      setTimeout(
        () => (incoming ?? outgoing).destroy(new Error(`${method} ${server}${path} ${what} within ${ms / 1000} s`)),
        ms,
      )
    const headersTimer = cutOff(headersTimeoutMs, 'was not answered')
    const deadline = cutOff(deadlineMs, 'was not complete')
    outgoing.on('socket', (socket) => {
      socket.setKeepAlive(true, keepAliveMs)
      this.#sockets.watch(socket)
    })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      clearTimeout(headersTimer)
      incoming = response
      // An abort between two reads emits 'error' while nobody listens; the next read throws it.
      response.on('error', () => {})
      resolve(response)
    })
    outgoing.on('close', () => {
      clearTimeout(headersTimer)
      clearTimeout(deadline)
    })
    outgoing.end(content?.bytes)
    return await promise
  }
}

/** ms between checks. A check takes a millisecond on a node with a hundred pod links. */
const addressCheckMs = 3000

/**
 * Destroys sockets whose local address has left this machine (a new DHCP lease, a docker restart). No packet can reach
 * them any more, and TCP would take most of a minute to notice.
 */
class LocalAddressWatch {
  readonly #open = new Set<Socket>()
  /** Set while a socket is open. */
  #timer: NodeJS.Timeout | undefined

  /** Watches a socket until it closes. Repeated calls for the same socket have no effect. */
  watch(socket: Socket): void {
    if (this.#open.has(socket)) return
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      if (this.#open.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    })
    this.#timer ??= setInterval(() => this.#check(), addressCheckMs).unref()
  }

  #check(): void {
    const local = new Set(
      Object.values(networkInterfaces())
        .flatMap((addresses) => addresses ?? [])
        .map(({ address }) => address),
    )
    for (const socket of this.#open) {
      const address = socket.localAddress?.replace('::ffff:', '')
      if (address !== undefined && !local.has(address))
        socket.destroy(new Error(`the connection's own address ${address} has left this machine`))
    }
  }
}

function retryAfterOf(response: http.IncomingMessage): number | undefined {
  const text = response.headers['retry-after'] ?? ''
  return /^\d+$/.test(text) ? Number(text) : undefined
}

function searchOf(query: Query): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value))
  return search.size === 0 ? '' : `?${search.toString()}`
}
