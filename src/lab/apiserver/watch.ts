// WATCH: one JSON event per line, as long as the client asked. An event is serialized once for all watchers with the
// same version (StoreEvent.line); Tables are serialized for each watcher. The rest of the cost per watcher is one
// selector call and one write.
import type { ServerResponse } from 'node:http'
import { type StoreEvent, type WatchEventType, watchLine } from './event-window.ts'
import type { ListOptions } from './list-options.ts'
import type { Presentation } from './presentation.ts'
import { writeChunks } from './response-stream.ts'
import type { Selector } from './selectors.ts'
import { expired, invalid, type StatusError } from './status-error.ts'
import type { Store, Table } from './store.ts'

/**
 * Unread bytes after which a watcher is disconnected. It reconnects and lists again; other watchers are not affected.
 */
const unreadLimit = 32 * 1024 * 1024

export interface WatchSettings {
  /** ms between bookmarks. */
  readonly bookmarkMs: number
  /** When false, sendInitialEvents is rejected, as by Kubernetes 1.33. */
  readonly watchList: boolean
}

export class Watchers {
  readonly #store: Store
  readonly #settings: WatchSettings
  readonly #open = new Set<Watcher>()
  readonly #bookmarks: NodeJS.Timeout

  constructor(store: Store, settings: WatchSettings) {
    this.#store = store
    this.#settings = settings
    this.#bookmarks = setInterval(() => this.#sendBookmarks(), settings.bookmarkMs).unref()
  }

  get size(): number {
    return this.#open.size
  }

  /**
   * Serves a watch until it ends.
   * @throws StatusError 422 before the response begins, when a WatchList is requested and not enabled.
   */
  async serve(table: Table, options: ListOptions, presentation: Presentation, response: ServerResponse): Promise<void> {
    if (options.sendInitialEvents !== undefined && !this.#settings.watchList) {
      const message = 'Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled'
      throw invalid(table.resource, '', [{ reason: 'FieldValueForbidden', field: 'sendInitialEvents', message }])
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const watcher = new Watcher({ store: this.#store, table, options, presentation, response })
    this.#open.add(watcher)
    response.once('close', () => this.#open.delete(watcher))
    await watcher.start()
  }

  /** Ends every watch, as at a shutdown. */
  close(): void {
    clearInterval(this.#bookmarks)
    for (const watcher of this.#open) watcher.end()
  }

  #sendBookmarks(): void {
    for (const watcher of this.#open) watcher.bookmark()
  }
}

interface WatchParts {
  readonly store: Store
  readonly table: Table
  readonly options: ListOptions
  readonly presentation: Presentation
  readonly response: ServerResponse
}

class Watcher {
  readonly #store: Store
  readonly #table: Table
  readonly #options: ListOptions
  readonly #presentation: Presentation
  readonly #response: ServerResponse
  /** Events that arrived while the initial ones are being written; undefined afterwards. */
  #pending: StoreEvent[] | undefined = []
  #corked = false

  constructor({ store, table, options, presentation, response }: WatchParts) {
    this.#store = store
    this.#table = table
    this.#options = options
    this.#presentation = presentation
    this.#response = response
  }

  async start(): Promise<void> {
    const { resourceVersion, sendInitialEvents, timeoutSeconds } = this.#options
    // Without a version, or with 0, a watch begins with all objects; sendInitialEvents=false begins with changes.
    const fromNow = resourceVersion === undefined || resourceVersion === 0
    const since = fromNow || sendInitialEvents === true ? this.#store.revision : resourceVersion
    const missed = since <= this.#store.revision ? this.#table.eventsSince(since) : undefined
    // A version from the future is from a previous run of the server. The answer is the same: the client lists again.
    if (missed === undefined || (resourceVersion ?? 0) > this.#store.revision)
      return this.#fail(expired(`too old resource version: ${resourceVersion} (${this.#store.revision})`))

    const stop = this.#table.onEvent((event) => this.#handle(event))
    // The real server's default: 30 to 60 minutes, randomized so that clients do not reconnect at the same time.
    const deadline = setTimeout(() => this.end(), (timeoutSeconds ?? 1800 + Math.random() * 1800) * 1000)
    this.#response.once('close', () => {
      stop()
      clearTimeout(deadline)
    })
    if (sendInitialEvents ?? fromNow) {
      if (!(await writeChunks(this.#response, this.#initialLines()))) return
    }
    if (sendInitialEvents === true && this.#options.allowBookmarks)
      this.#write(this.#presentation.bookmark(since, true))
    const behind = [...missed, ...(this.#pending ?? [])]
    this.#pending = undefined
    for (const event of behind) this.#handle(event)
  }

  bookmark(): void {
    if (this.#options.allowBookmarks && this.#pending === undefined)
      this.#write(this.#presentation.bookmark(this.#store.revision, false))
  }

  /** Ends the response cleanly, with a last bookmark so that the next watch resumes from the current revision. */
  end(): void {
    this.bookmark()
    this.#uncork()
    this.#response.end()
  }

  *#initialLines(): Iterable<string> {
    for (const stored of this.#table.list())
      if (this.#options.matches(stored.object)) yield watchLine('ADDED', this.#presentation.one(stored))
  }

  #handle(event: StoreEvent): void {
    if (this.#pending !== undefined) return void this.#pending.push(event)
    const type = eventTypeFor(event, this.#options.matches)
    if (type !== undefined) this.#write(this.#presentation.event(type, event))
  }

  #fail(error: StatusError): void {
    this.#response.end(watchLine('ERROR', JSON.stringify(error.status())))
  }

  #write(line: string): void {
    const response = this.#response
    if (response.closed || response.writableEnded) return
    if (response.writableLength > unreadLimit) return void response.destroy()
    if (!this.#corked) {
      // Events of one turn of the event loop are sent in one TLS record.
      this.#corked = true
      response.cork()
      setImmediate(() => this.#uncork())
    }
    response.write(line)
  }

  #uncork(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#response.uncork()
  }
}

/**
 * Returns the type of an event for a watcher with a selector: an object that enters the selection is ADDED, one that
 * leaves it is DELETED, and changes outside of it are not sent.
 */
function eventTypeFor({ before, after }: StoreEvent, matches: Selector): WatchEventType | undefined {
  const was = before !== undefined && matches(before.object)
  const is = after !== undefined && matches(after.object)
  if (is) return was ? 'MODIFIED' : 'ADDED'
  return was ? 'DELETED' : undefined
}
