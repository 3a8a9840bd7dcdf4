// Keeps a small copy of one kind of object in step with the API server, for ever.
//
// One loop: without a place in the server's history it lists, and the list streams straight on into a watch (WatchList;
// in pages where the server has none). With a place it watches from there. The server ends each watch after some
// minutes and the next one goes on from the last event or bookmark. Any failure is waited out (retries.ts); a place
// that the server has forgotten (410) or keeps refusing is given up for a new list. Nothing but the signal stops it.
import type { Logger } from 'pino'
import type { ApiConnection, Query, StreamLimits } from './api-connection.ts'
import { ApiError } from './api-error.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import { ObjectStore, type Projection, type Refill } from './object-store.ts'
import { pagedList } from './paged-list.ts'
import type { Problem } from './problem.ts'
import { Retries } from './retries.ts'
import { openWatch, WatchBroken, type WatchEvent } from './watch-stream.ts'

export interface ReflectorSettings<T> {
  readonly api: ApiConnection
  /** "/api/v1/nodes" */
  readonly path: string
  /** What to ask for of all of it, as the API writes it: field "spec.nodeName=worker-1", label "app=web". */
  readonly selector?: { readonly field?: string; readonly label?: string }
  readonly project: Projection<T>
  /** Whether a consumer could not tell the two apart: then nothing changed, and the older one is kept. */
  equals(a: T, b: T): boolean
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>
  readonly clock?: Clock
  readonly limits?: Partial<ReflectorLimits>
}

export interface ReflectorLimits {
  /** ms until an answer must have begun. */
  readonly headersTimeoutMs: number
  /**
   * Seconds after which the server is asked to end a watch: this and up to twice this, so that no two reflectors keep
   * step.
   */
  readonly watchSeconds: number
  /** ms that the server may be late with it. */
  readonly graceMs: number
}

export interface ReflectorStatus {
  readonly state: 'listing' | 'watching' | 'waiting' | 'stopped'
  readonly synced: boolean
  readonly objects: number
  /** Lists begun after the first one was complete: each means that the place in history was lost. */
  readonly relists: number
  /** Watches opened from a place: where another one ended, or where a paged list was made. */
  readonly reconnects: number
  /** ms since the epoch, bookmarks and lists included. */
  readonly lastEventAt: number | undefined
  /** The last failure, until a watch is open again. */
  readonly lastError: string | undefined
}

const defaultLimits: ReflectorLimits = { headersTimeoutMs: 30_000, watchSeconds: 300, graceMs: 30_000 }
/** A watch that ends sooner than this is not followed by another at once. */
const shortWatchMs = 1000
/** So many refusals in a row to go on from our place, and it is given up: a list cures whatever is wrong with it. */
const refusalsBorne = 3

export class Reflector<T> {
  readonly #settings: ReflectorSettings<T>
  readonly #limits: ReflectorLimits
  readonly #clock: Clock
  readonly #retries: Retries
  readonly #store: ObjectStore<T>
  readonly #selector: Query
  readonly #firstSync = Promise.withResolvers<void>()
  /** The resourceVersion up to which the store is right; undefined when only a new list can make it right. */
  #place: string | undefined
  /** False once the server has shown that it cannot stream a list. */
  #streamsLists = true
  #synced = false
  #state: ReflectorStatus['state'] = 'stopped'
  #relists = 0
  #reconnects = 0
  #refusals = 0
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

  /** By "ns/name", or "name". A new map only when something changed; its order means nothing. */
  get snapshot(): ReadonlyMap<string, T> {
    return this.#store.snapshot
  }

  /** What is wrong with objects as they are now: each was said in the log once. */
  get problems(): readonly Problem[] {
    return this.#store.problems
  }

  /** Whether a list has been complete once. It stays true: a snapshot that is minutes old beats none. */
  get synced(): boolean {
    return this.#synced
  }

  /** Never rejects; stays pending while there was no complete list. */
  async whenSynced(): Promise<void> {
    await this.#firstSync.promise
  }

  /** Calls back once per burst when the snapshot has changed, and when the first list is complete, empty or not. */
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

  /** Resolves after the signal, and never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#retries.begin()
        const restMs = await (this.#place === undefined ? this.#list(signal) : this.#goOn(signal, this.#place))
        if (restMs === 0) continue
        this.#state = 'waiting'
        await this.#clock.sleep(restMs, signal)
      } catch (error) {
        if (!signal.aborted) await this.#failed(error, signal)
      }
    }
    this.#state = 'stopped'
  }

  /** @returns ms to wait before the next step, as do #goOn and #follow. */
  async #list(signal: AbortSignal): Promise<number> {
    this.#state = 'listing'
    if (this.#synced) this.#relists += 1
    return await (this.#streamsLists ? this.#streamList(signal) : this.#pageList(signal))
  }

  async #streamList(signal: AbortSignal): Promise<number> {
    try {
      return await this.#follow(
        signal,
        { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' },
        this.#store.refill(),
      )
    } catch (error) {
      const refused = error instanceof ApiError && (error.status === 400 || error.status === 422)
      // A server whose etcd is too old for it accepts the watch and breaks it off at once (k8s.io/apiserver
      // cacher.Watch): as client-go, read pages this time.
      const broken = error instanceof WatchBroken && this.#place === undefined
      if (!refused && !broken) throw error
      this.#settings.log.info(
        { resource: this.#settings.path },
        `The API server does not stream this list; reading ${this.#settings.path} in pages (${error.message})`,
      )
      this.#streamsLists = !refused
      return await this.#pageList(signal)
    }
  }

  async #pageList(signal: AbortSignal): Promise<number> {
    const { api, path } = this.#settings
    const { headersTimeoutMs } = this.#limits
    this.#listed(await pagedList(api, path, this.#selector, { signal, headersTimeoutMs }, () => this.#store.refill()))
    return 0
  }

  async #goOn(signal: AbortSignal, place: string): Promise<number> {
    this.#reconnects += 1
    return await this.#follow(signal, { resourceVersion: place })
  }

  /**
   * One watch from its request to its end. With a refill, what comes before the bookmark that ends the list goes there.
   */
  async #follow(signal: AbortSignal, from: Query, refill?: Refill): Promise<number> {
    const { api, path } = this.#settings
    const seconds = Math.floor(this.#limits.watchSeconds * (1 + this.#clock.random()))
    const limits: StreamLimits = {
      signal,
      headersTimeoutMs: this.#limits.headersTimeoutMs,
      deadlineMs: seconds * 1000 + this.#limits.graceMs,
    }
    const openedAt = this.#clock.now()
    let filling = refill
    let events = 0
    const stream = await openWatch(api, path, { ...this.#selector, ...from, timeoutSeconds: seconds }, limits)
    this.#retries.answered()
    if (filling === undefined) this.#watching()
    for await (const event of stream) {
      events += 1
      this.#lastEventAt = this.#clock.now()
      if (filling === undefined) this.#apply(event)
      else if (event.type !== 'BOOKMARK') applyTo(filling, event)
      else if (event.listed) {
        filling.commit()
        filling = undefined
        this.#listed(event.resourceVersion)
        this.#watching()
      }
    }
    if (filling !== undefined) {
      this.#streamsLists = false
      throw new Error(`The watch of ${path} ended before its list was complete`)
    }
    if (this.#clock.now() - openedAt >= shortWatchMs) return 0
    if (events === 0) throw new Error(`The watch of ${path} ended as soon as it began`)
    return shortWatchMs
  }

  #apply(event: WatchEvent): void {
    if (event.type !== 'BOOKMARK') applyTo(this.#store, event)
    const place = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion
    if (place) this.#place = place
    this.#refusals = 0
  }

  #listed(place: string): void {
    this.#retries.answered()
    this.#place = place
    this.#refusals = 0
    this.#lastEventAt = this.#clock.now()
    if (this.#synced) return
    this.#synced = true
    this.#settings.log.info(
      { resource: this.#settings.path, objects: this.#store.size },
      `Read all of ${this.#settings.path}`,
    )
    this.#firstSync.resolve()
    this.#store.signal()
  }

  #watching(): void {
    this.#state = 'watching'
    this.#retries.succeeded()
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<void> {
    const forgotten = error instanceof WatchBroken || (error instanceof ApiError && error.status === 410)
    if (isRefusal(error)) this.#refusals += 1
    if (forgotten || this.#refusals >= refusalsBorne) {
      this.#place = undefined
      this.#refusals = 0
    }
    this.#state = 'waiting'
    await this.#retries.wait(error, signal)
  }
}

/**
 * A server that is out of reach or too busy says nothing about our place; any other answer that is no use does, sooner
 * or later.
 */
function isRefusal(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof ApiError && error.status !== 429 && error.status !== 503)
}

function applyTo(target: Pick<Refill, 'put' | 'remove'>, event: Exclude<WatchEvent, { type: 'BOOKMARK' }>): void {
  if (event.type === 'DELETED') target.remove(event.object)
  else target.put(event.object)
}
