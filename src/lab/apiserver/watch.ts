// WATCH: one JSON event a line, for as long as the client asked. An event is written for all watchers of a selection as
// the same text, made once (StoreEvent.line; Tables are made for each); what is left per watcher is one selector call
// and one write.
import type { ServerResponse } from 'node:http'
import { type StoreEvent, type WatchEventType, watchLine } from './event-window.ts'
import type { ListOptions } from './list-options.ts'
import type { Presentation } from './presentation.ts'
import { writeChunks } from './response-stream.ts'
import type { Selector } from './selectors.ts'
import { expired, invalid, type StatusError } from './status-error.ts'
import type { Store, Table } from './store.ts'

/**
 * A watcher with more than this unread is cut off (bytes): it comes back and lists anew, and the others lose nothing.
 */
const unreadLimit = 32 * 1024 * 1024

export interface WatchSettings {
  /** How often a quiet watch is told the current revision. */
  readonly bookmarkMs: number
  /** False answers sendInitialEvents as Kubernetes 1.33 does. */
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
    this.#bookmarks = setInterval(() => this.#tell(), settings.bookmarkMs).unref()
  }

  get size(): number {
    return this.#open.size
  }

  /**
   * Serves the watch until it ends.
   * @throws StatusError 422 before anything is written, when WatchList is asked for and off.
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

  /** Ends every watch, as a server that is going down does. */
  close(): void {
    clearInterval(this.#bookmarks)
    for (const watcher of this.#open) watcher.end()
  }

  #tell(): void {
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
  /** Events that happened while the initial ones are still being written; undefined once those are out. */
  #waiting: StoreEvent[] | undefined = []
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
    // Without a version, or with 0, a watch begins with what is there; sendInitialEvents=false begins with what comes.
    const fromNow = resourceVersion === undefined || resourceVersion === 0
    const since = fromNow || sendInitialEvents === true ? this.#store.revision : resourceVersion
    const missed = since <= this.#store.revision ? this.#table.eventsSince(since) : undefined
    // A version from the future is one of another server's life: the same answer, the client lists anew.
    if (missed === undefined || (resourceVersion ?? 0) > this.#store.revision)
      return this.#fail(expired(`too old resource version: ${resourceVersion} (${this.#store.revision})`))

    const stop = this.#table.onEvent((event) => this.#take(event))
    // The real server's default, 30 to 60 minutes, spread so that not all come back at once.
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
    const behind = [...missed, ...(this.#waiting ?? [])]
    this.#waiting = undefined
    for (const event of behind) this.#take(event)
  }

  bookmark(): void {
    if (this.#options.allowBookmarks && this.#waiting === undefined)
      this.#write(this.#presentation.bookmark(this.#store.revision, false))
  }

  /** Ends the answer in good order, with a last bookmark so that the next watch starts late. */
  end(): void {
    this.bookmark()
    this.#uncork()
    this.#response.end()
  }

  *#initialLines(): Iterable<string> {
    for (const stored of this.#table.list())
      if (this.#options.matches(stored.object)) yield watchLine('ADDED', this.#presentation.one(stored))
  }

  #take(event: StoreEvent): void {
    if (this.#waiting !== undefined) return void this.#waiting.push(event)
    const type = seenAs(event, this.#options.matches)
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
      // Events of one turn of the loop become one TLS record.
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
 * What a change is to one who sees only what matches: entering the selection is ADDED, leaving it DELETED, outside it
 * nothing.
 */
function seenAs({ before, after }: StoreEvent, matches: Selector): WatchEventType | undefined {
  const was = before !== undefined && matches(before.object)
  const is = after !== undefined && matches(after.object)
  if (is) return was ? 'MODIFIED' : 'ADDED'
  return was ? 'DELETED' : undefined
}
