// HTTP to one API server: plain requests, and streams of lines for watches. Everything has an end: an answer that does
// not begin, a stream that outlives its deadline and a peer that no longer acknowledges are each cut off, since a watch
// that is silently dead would freeze the node.
import http from 'node:http'
import https from 'node:https'
import { apiErrorOf } from './api-error.ts'
import { LineSplitter } from './line-splitter.ts'
import { MovedSockets } from './moved-sockets.ts'
import { Recovery } from './recovery.ts'
import { ServerChoice, type ServerChoiceParts } from './server-choice.ts'

/**
 * Where the server is and who we are to it, asked anew for every request, so that a rotated token or certificate is
 * simply the next one.
 */
export interface Credentials {
  readonly servers: ServerChoiceParts
  requestOptions(): Promise<CredentialOptions>
  /**
   * Forgets what was cached: the server no longer accepts it.
   * @throws {Error} when the source cannot be read; the old credentials stay.
   */
  reload(): void
}

/** TLS settings and headers; `agent` only where the way leads through a proxy. */
export type CredentialOptions = Omit<https.RequestOptions, 'headers'> & { headers: http.OutgoingHttpHeaders }

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

export interface StreamLimits {
  readonly signal: AbortSignal
  /** ms until the answer must have begun. */
  readonly headersTimeoutMs: number
  /** ms until the whole is cut off, whatever its state. */
  readonly deadlineMs: number
}

export interface LineStream {
  readonly status: number
  /** Seconds, where the server asked for patience. */
  readonly retryAfter: number | undefined
  /** Throws when the connection ends before the answer does. Leaving the loop early closes the connection. */
  readonly lines: AsyncIterable<Buffer>
}

export interface RequestSettings {
  readonly query?: Query
  /** Sent as JSON. */
  readonly body?: unknown
  /** "application/json" unless told: patches say which kind they are ("application/merge-patch+json"). */
  readonly contentType?: string
  readonly signal?: AbortSignal
  /** ms, 30 s unless told. */
  readonly headersTimeoutMs?: number
  /** ms for the whole, 60 s unless told, as the API server has it. */
  readonly deadlineMs?: number
}

interface Exchange extends Partial<StreamLimits> {
  readonly headersTimeoutMs: number
  readonly deadlineMs: number
  readonly query: Query
  readonly content?: { readonly type: string; readonly bytes: Buffer }
}

/** ms for an address that may be the server's: a ClusterIP that nobody has programmed leads into the void. */
const askMs = 3000

/** Then the kernel probes a silent peer each second and gives up after ten (libuv). */
const keepAliveMs = 30_000

export class ApiConnection {
  /** Among those who ask over and over. */
  readonly recovery = new Recovery()
  readonly #credentials: Credentials
  readonly #servers: ServerChoice
  readonly #agents: Readonly<Record<'http:' | 'https:', http.Agent>>
  readonly #sockets = new MovedSockets()

  constructor(credentials: Credentials) {
    this.#credentials = credentials
    this.#servers = new ServerChoice(credentials.servers, async (server) => await this.#ask(server))
    const pool = { keepAlive: true, keepAliveMsecs: keepAliveMs }
    this.#agents = { 'http:': new http.Agent(pool), 'https:': new https.Agent(pool) }
  }

  /** The server's address, for messages: "https://HOST:PORT", several with "or" where none of them has answered yet. */
  get server(): string {
    return this.#servers.text
  }

  /** GETs a path whose answer is lines without end. Any status resolves; @throws {Error} when there was no answer. */
  async stream(path: string, query: Query, limits: StreamLimits): Promise<LineStream> {
    const response = await this.#exchange('GET', path, { ...limits, query })
    return {
      status: response.statusCode ?? 0,
      retryAfter: retryAfterOf(response),
      lines: linesOf(chunksOf(response, `GET ${this.server}${path}`)),
    }
  }

  /**
   * @returns the answer's JSON, undefined for an empty one.
   * @throws {ApiError} on any status but 2xx, {Error} when there was no answer.
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

  /** One request; a second one where the first was refused with 401 and there are other credentials by now. */
  async #exchange(method: string, path: string, exchange: Exchange): Promise<http.IncomingMessage> {
    const server = await this.#servers.take()
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

  /** Whatever the answer: the certificate says that it is the cluster's. */
  async #ask(server: string): Promise<void> {
    const response = await this.#send(
      server,
      { method: 'GET', path: '/version' },
      { query: {}, headersTimeoutMs: askMs, deadlineMs: askMs },
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
      // An abort may strike between two reads, when no reader listens; the next read tells of it.
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

/** The body; where Node would only say "aborted", which answer that was. */
async function* chunksOf(response: AsyncIterable<Buffer>, request: string): AsyncGenerator<Buffer> {
  try {
    yield* response
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error
    throw new Error(`${request} broke off before its answer was complete`, { cause: error })
  }
}

async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const splitter = new LineSplitter()
  for await (const chunk of body) yield* splitter.push(chunk)
  const rest = splitter.end()
  if (rest !== undefined) yield rest
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
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
