// An API server for unit tests. It serves one collection correctly, except where a test scripts a fault.
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeObject {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly resourceVersion: string
    readonly labels: Readonly<Record<string, string>>
  }
}

/** Handles one request instead of the server; it may call `serve` to answer correctly. */
export type Fault = (response: http.ServerResponse, serve: () => void, request: http.IncomingMessage) => void

interface Event {
  readonly type: string
  readonly object: unknown
  readonly version: number
}

export class FakeApiServer implements AsyncDisposable {
  readonly objects = new Map<string, FakeObject>()
  /** The query of each request, in order of arrival. */
  readonly requests: URLSearchParams[] = []
  /** Faults for the next requests; each is used once, in order. */
  readonly faults: Fault[] = []
  /** When false, the server answers a WatchList with 400, as an API server whose feature gate is off. */
  streamsLists = true
  /** Bytes in each HTTP chunk. */
  chunkBytes = 1 << 20
  /** How the server rejects a watch from a compacted resourceVersion: with 410, or with an ERROR event in a 200. */
  expiresBy: 'status' | 'event' = 'status'
  version = 1
  readonly #server = http.createServer((request, response) => this.#take(request, response))
  readonly #watches = new Set<http.ServerResponse>()
  #history: Event[] = []
  /** Events up to this version are compacted: a watch from an earlier version gets 410. */
  #compacted = 0

  static async start(): Promise<FakeApiServer> {
    const fake = new FakeApiServer()
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get openWatches(): number {
    return this.#watches.size
  }

  put(name: string, labels: Record<string, string> = {}): void {
    const known = this.objects.has(name)
    this.version += 1
    const object = { metadata: { name, namespace: 'default', resourceVersion: String(this.version), labels } }
    this.objects.set(name, object)
    this.#record({ type: known ? 'MODIFIED' : 'ADDED', object, version: this.version })
  }

  delete(name: string): void {
    const object = this.objects.get(name)
    if (object === undefined) return
    this.version += 1
    this.objects.delete(name)
    this.#record({
      type: 'DELETED',
      object: { metadata: { ...object.metadata, resourceVersion: String(this.version) } },
      version: this.version,
    })
  }

  /** Sends a bookmark with a higher resourceVersion, as after a change to another resource. */
  bookmark(): void {
    this.version += 1
    this.send(bookmark(this.version))
  }

  /** Drops the history of events, as etcd compaction does. */
  compact(): void {
    this.#history = []
    this.#compacted = this.version
  }

  /** Sends a text to each open watch without recording it in the history: a duplicate, garbage or half a line. */
  send(text: string): void {
    for (const watch of this.#watches) this.#write(watch, text)
  }

  endWatches(): void {
    for (const watch of this.#watches) watch.end()
    this.#watches.clear()
  }

  /** Destroys the sockets of all watches, as a lost connection does: HTTP clients see no end of the response. */
  cutWatches(): void {
    for (const watch of this.#watches) watch.destroy()
    this.#watches.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #take(request: http.IncomingMessage, response: http.ServerResponse): void {
    const query = new URL(request.url ?? '', this.url).searchParams
    this.requests.push(query)
    const serve = (): void =>
      query.get('watch') === 'true' ? this.#watch(query, response) : this.#list(query, response)
    const fault = this.faults.shift()
    if (fault === undefined) serve()
    else fault(response, serve, request)
  }

  #list(query: URLSearchParams, response: http.ServerResponse): void {
    const [start, limit] = [Number(query.get('continue') ?? 0), Number(query.get('limit') ?? Infinity)]
    const all = [...this.objects.values()]
    const more = start + limit < all.length ? { continue: String(start + limit) } : {}
    this.#write(
      response,
      JSON.stringify({
        metadata: { resourceVersion: String(this.version), ...more },
        items: all.slice(start, start + limit),
      }),
    )
    response.end()
  }

  #watch(query: URLSearchParams, response: http.ServerResponse): void {
    const listing = query.has('sendInitialEvents')
    if (listing && !this.streamsLists) return refuse(400)(response)
    const from = Number(query.get('resourceVersion') ?? 0)
    if (!listing && from < this.#compacted) {
      if (this.expiresBy === 'status') return refuse(410)(response)
      response.end(line('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' }))
      return
    }
    response.flushHeaders()
    if (listing) {
      for (const object of this.objects.values()) this.#write(response, line('ADDED', object))
      this.#write(response, bookmark(this.version, { 'k8s.io/initial-events-end': 'true' }))
    } else
      for (const { type, object, version } of this.#history)
        if (version > from) this.#write(response, line(type, object))
    this.#watches.add(response)
    response.on('close', () => this.#watches.delete(response))
  }

  #record(event: Event): void {
    this.#history.push(event)
    this.send(line(event.type, event.object))
  }

  #write(response: http.ServerResponse, text: string): void {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; at += this.chunkBytes) response.write(bytes.subarray(at, at + this.chunkBytes))
  }
}

export function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`
}

function bookmark(version: number, annotations: Record<string, string> = {}): string {
  return line('BOOKMARK', { metadata: { resourceVersion: String(version), annotations } })
}

/** Rejects a request with a Status object in the API server's format. */
export function refuse(code: number, headers: http.OutgoingHttpHeaders = {}): (response: http.ServerResponse) => void {
  return (response) => {
    response
      .writeHead(code, headers)
      .end(JSON.stringify({ kind: 'Status', code, reason: `Reason${code}`, message: `refused with ${code}` }))
  }
}
