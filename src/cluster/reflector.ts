// Keeps a projected copy of one collection of objects in sync with the API server.
//
// The loop is that of client-go's reflector. Without a resourceVersion it lists, and the list streams straight into a
// watch (WatchList); from a server that cannot stream lists it reads pages. With a resourceVersion it watches from
// there. The server ends each watch after some minutes, and the next watch resumes from the last event or bookmark.
// After any failure it backs off (retries.ts). It lists again when the server answers 410, or keeps rejecting the
// resourceVersion. Only the signal stops it.
import type { Logger } from 'pino'
import type { ApiConnection, Query, StreamLimits } from './api-connection.ts'
import { ApiError } from './api-error.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import { ObjectStore, type Projection, type Replacement } from './object-store.ts'
import { pagedList } from './paged-list.ts'
import type { Problem } from './problem.ts'
import { Retries } from './retries.ts'
import { openWatch, WatchError, type WatchEvent } from './watch-stream.ts'

export interface ReflectorSettings<T> {
  readonly api: ApiConnection
  /** "/api/v1/nodes" */
  readonly path: string
  /** Selectors in the API's notation: field "spec.nodeName=worker-1", label "app=web". */
  readonly selector?: { readonly field?: string; readonly label?: string }
  readonly project: Projection<T>
  /** Returns true when no consumer can tell the two apart: the older value is kept and nothing is signalled. */
  equals(a: T, b: T): boolean
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>
  readonly clock?: Clock
  readonly limits?: Partial<ReflectorLimits>
}

export interface ReflectorLimits {
  /** ms until the response headers must have arrived. */
  readonly headersTimeoutMs: number
  /**
   * Seconds after which the server is asked to end a watch. The value is randomized between this and twice this, so
   * that reflectors do not reconnect at the same time.
   */
  readonly watchSeconds: number
  /** ms that the server may exceed that time before the watch is cut off. */
  readonly graceMs: number
}

export interface ReflectorStatus {
  readonly state: 'listing' | 'watching' | 'waiting' | 'stopped'
  readonly synced: boolean
  readonly objects: number
  /** Lists begun after the first complete one; each means that the resourceVersion was lost. */
  readonly relists: number
  /** Watches opened from a resourceVersion: after another watch ended, or after a paged list. */
  readonly reconnects: number
  /** ms since the epoch; bookmarks and lists count. */
  readonly lastEventAt: number | undefined
  /** The last failure, until a watch is open. */
  readonly lastError: string | undefined
}

const defaultLimits: ReflectorLimits = { headersTimeoutMs: 30_000, watchSeconds: 300, graceMs: 30_000 }
/** A watch that ends sooner than this many ms is not followed by another at once. */
const shortWatchMs = 1000
/** After this many rejected watches in a row the resourceVersion is dropped, because a list resolves any cause. */
const maxRejections = 3

export class Reflector<T> {
  readonly #settings: ReflectorSettings<T>
  readonly #limits: ReflectorLimits
  readonly #clock: Clock
  readonly #retries: Retries
  readonly #store: ObjectStore<T>
  readonly #selector: Query
  readonly #firstSync = Promise.withResolvers<void>()
  /** The resourceVersion that the store reflects; undefined when only a new list can bring it up to date. */
  #resourceVersion: string | undefined
  /** False once the server has shown that it does not support WatchList. */
  #streamsLists = true
  #synced = false
  #state: ReflectorStatus['state'] = 'stopped'
  #relists = 0
  #reconnects = 0
  #rejections = 0
  #lastEventAt: number | undefined

  constructor(settings: ReflectorSettings<T>) {
    const { api, path, selector, log } = settings
    this.#settings = settings
    this.#limits = { ...defaultLimits, ...settings.limits }
    this.#clock = settings.clock ?? systemClock
    this.#retries = new Retries({ path, recovery: api.recovery, clock: this.#clock, log })
    this.#selector = { fieldSelector: selector?.field, labelSelector: selector?.label }
    this.#store = new ObjectStore({ ...settings, warn: (problem) => log.warn({ resource: path }, problem) })
  }

  /** The objects by "namespace/name", or "name". A new map after each change; the order is not defined. */
  get snapshot(): ReadonlyMap<string, T> {
    return this.#store.snapshot
  }

  /** The problems of the current objects. Each was logged once. */
  get problems(): readonly Problem[] {
    return this.#store.problems
  }

  /** Whether a list has completed. It stays true during outages: an outdated snapshot is better than none. */
  get synced(): boolean {
    return this.#synced
  }

  /** Resolves when the first list is complete. Never rejects. */
  async whenSynced(): Promise<void> {
    await this.#firstSync.promise
  }

  /** Calls back once per burst of changes, and when the first list is complete, even if it is empty. */
  onChange(listener: () => void): void {
    this.#store.onChange(listener)
  }

  status(): ReflectorStatus {
    return {
      state: this.#state,
      synced: this.#synced,
      objects: this.#store.size,
      relists: this.#relists,
      reconnects: this.#reconnects,
      lastEventAt: this.#lastEventAt,
      lastError: this.#retries.lastError,
    }
  }

  /** Runs until the signal fires. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#retries.begin()
        const resourceVersion = this.#resourceVersion
        const pauseMs = await (resourceVersion === undefined
          ? this.#list(signal)
          : this.#resume(signal, resourceVersion))
        if (pauseMs === 0) continue
        this.#state = 'waiting'
        await this.#clock.sleep(pauseMs, signal)
      } catch (error) {
        if (!signal.aborted) await this.#failed(error, signal)
      }
    }
    this.#state = 'stopped'
  }

  /** @returns ms to wait before the next step, like #resume and #watch. */
  async #list(signal: AbortSignal): Promise<number> {
    this.#state = 'listing'
    if (this.#synced) this.#relists += 1
    return await (this.#streamsLists ? this.#streamList(signal) : this.#pageList(signal))
  }

  async #streamList(signal: AbortSignal): Promise<number> {
    try {
      return await this.#watch(
        signal,
        { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' },
        this.#store.replace(),
      )
    } catch (error) {
      const rejected = error instanceof ApiError && (error.status === 400 || error.status === 422)
      // A server whose etcd is too old for WatchList accepts the watch and ends it with an ERROR event
      // (k8s.io/apiserver cacher.Watch). Like client-go, read pages this time and try again with the next list.
      const failed = error instanceof WatchError && this.#resourceVersion === undefined
      if (!rejected && !failed) throw error
      const { path, log } = this.#settings
      log.info({ resource: path, error: error.message }, 'the API server cannot stream this list; reading pages')
      this.#streamsLists = !rejected
      return await this.#pageList(signal)
    }
  }

  async #pageList(signal: AbortSignal): Promise<number> {
    const { api, path } = this.#settings
    const { headersTimeoutMs } = this.#limits
    const replace = (): Replacement => this.#store.replace()
    this.#listed(await pagedList(api, path, this.#selector, { signal, headersTimeoutMs }, replace))
    return 0
  }

  async #resume(signal: AbortSignal, resourceVersion: string): Promise<number> {
    this.#reconnects += 1
    return await this.#watch(signal, { resourceVersion })
  }

  /**
   * Runs one watch from request to end. With a replacement, the events up to the bookmark that ends the initial list go
   * there.
   */
  async #watch(signal: AbortSignal, from: Query, replacement?: Replacement): Promise<number> {
    const { api, path } = this.#settings
    const seconds = Math.floor(this.#limits.watchSeconds * (1 + this.#clock.random()))
    const limits: StreamLimits = {
      signal,
      headersTimeoutMs: this.#limits.headersTimeoutMs,
      deadlineMs: seconds * 1000 + this.#limits.graceMs,
    }
    const openedAt = this.#clock.now()
    let initialList = replacement
    let events = 0
    const stream = await openWatch(api, path, { ...this.#selector, ...from, timeoutSeconds: seconds }, limits)
    this.#retries.answered()
    if (initialList === undefined) this.#watching()
    for await (const event of stream) {
      events += 1
      this.#lastEventAt = this.#clock.now()
      if (initialList === undefined) this.#apply(event)
      else if (event.type !== 'BOOKMARK') applyTo(initialList, event)
      else if (event.listed) {
        initialList.commit()
        initialList = undefined
        this.#listed(event.resourceVersion)
        this.#watching()
      }
    }
    if (initialList !== undefined) {
      this.#streamsLists = false
      throw new Error(`The watch of ${path} ended before its list was complete`)
    }
    if (this.#clock.now() - openedAt >= shortWatchMs) return 0
    if (events === 0) throw new Error(`The watch of ${path} ended without an event`)
    return shortWatchMs
  }

  #apply(event: WatchEvent): void {
    if (event.type !== 'BOOKMARK') applyTo(this.#store, event)
    const resourceVersion = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion
    if (resourceVersion) this.#resourceVersion = resourceVersion
    this.#rejections = 0
  }

  #listed(resourceVersion: string): void {
    this.#retries.answered()
    this.#resourceVersion = resourceVersion
    this.#rejections = 0
    this.#lastEventAt = this.#clock.now()
    if (this.#synced) return
    this.#synced = true
    this.#settings.log.info({ resource: this.#settings.path, objects: this.#store.size }, 'first list complete')
    this.#firstSync.resolve()
    this.#store.signal()
  }

  #watching(): void {
    this.#state = 'watching'
    this.#retries.succeeded()
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<void> {
    const expired = error instanceof WatchError || (error instanceof ApiError && error.status === 410)
    if (isRejection(error)) this.#rejections += 1
    if (expired || this.#rejections >= maxRejections) {
      this.#resourceVersion = undefined
      this.#rejections = 0
    }
    this.#state = 'waiting'
    await this.#retries.wait(error, signal)
  }
}

/**
 * Whether an error may mean that the server rejects our resourceVersion. A server that is unreachable (no ApiError) or
 * overloaded (429, 503) says nothing about it.
 */
function isRejection(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof ApiError && error.status !== 429 && error.status !== 503)
}

function applyTo(target: Pick<Replacement, 'put' | 'remove'>, event: Exclude<WatchEvent, { type: 'BOOKMARK' }>): void {
  if (event.type === 'DELETED') target.remove(event.object)
  else target.put(event.object)
}
