// Writes Events to the API server, one after the other and beside everything else: an Event that cannot be written is
// dropped, since only people read it. What is seen again is counted in the Event that is there (series), as client-go's
// recorder does, and an object that causes very many is limited, as by client-go's spam filter.
import type { Logger } from 'pino'
import type { ApiConnection } from './api-connection.ts'
import { ApiError } from './api-error.ts'
import { BackOff } from '../runtime/back-off.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import {
  type ClusterEvent,
  type EventReporter,
  type EventSink,
  eventBody,
  eventName,
  namespaceOf,
  seriesPatch,
} from './event.ts'
import { TokenBuckets } from './token-buckets.ts'

export interface EventRecorderSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly reporter: EventReporter
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>
  readonly clock?: Clock
}

interface Entry {
  readonly event: ClusterEvent
  /** Of all Events of its namespace. */
  readonly path: string
  readonly name: string
  readonly firstObservedAt: number
  lastObservedAt: number
  count: number
  /** Whether the API server has it, and we may count in it. */
  written: boolean
  /** ms since the epoch: until then another node reports the same. */
  othersUntil: number
  /** Whether it was seen since it was written last. */
  unwritten: boolean
  failures: number
}

/** Of one object: client-go's defaults, 25 at once and then one each 5 minutes. */
const budget = { burst: 25, refillMs: 300_000, keys: 4096 }
/** Events that are remembered in order to count them. */
const longestMemory = 1000
/** Events that wait to be written; what comes when so many wait is counted, and written when it is seen again. */
const longestQueue = 200
/** As client-go. */
const mostTries = 12
/** ms for which the API server keeps an Event after its last change (--event-ttl), unless it is told otherwise. */
const keptMs = 3_600_000
/** ms for which nothing is asked after the API server has said that Events are not ours to write. */
const silenceMs = 600_000
const answerWithinMs = 10_000

export class EventRecorder implements EventSink {
  readonly #settings: EventRecorderSettings
  readonly #clock: Clock
  readonly #budget = new TokenBuckets(budget)
  readonly #backOff: BackOff
  /** By path and name, in the order in which they were seen last. */
  readonly #known = new Map<string, Entry>()
  readonly #queue = new Set<Entry>()
  #wake: () => void = () => undefined
  #silentUntil = -Infinity
  /** What the log has last said about refusals; undefined while Events are accepted. */
  #refusal: string | undefined

  constructor(settings: EventRecorderSettings) {
    const { clock = systemClock } = settings
    this.#settings = settings
    this.#clock = clock
    this.#backOff = new BackOff({ clock })
  }

  /** Returns at once. What is recorded before {@link run} is written by it. */
  record(event: ClusterEvent): void {
    const now = this.#clock.now()
    const entry = this.#entry(event, now)
    entry.count += 1
    entry.lastObservedAt = now
    entry.unwritten = true
    if (now >= this.#silentUntil && now >= entry.othersUntil) this.#enqueue(entry)
  }

  /** Writes what is recorded, until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true })
    while (!signal.aborted) {
      const [entry] = this.#queue
      if (entry === undefined) await new Promise<void>((resolve) => (this.#wake = resolve))
      else await this.#attempt(entry, signal)
    }
  }

  #enqueue(entry: Entry): void {
    const { kind, uid } = entry.event.regarding
    if (this.#queue.has(entry) || this.#queue.size >= longestQueue) return
    if (!this.#budget.take(`${kind} ${uid}`, entry.lastObservedAt)) return
    this.#queue.add(entry)
    this.#wake()
  }

  #entry(event: ClusterEvent, now: number): Entry {
    const name = eventName(event, this.#settings.reporter)
    const path = `/apis/events.k8s.io/v1/namespaces/${namespaceOf(event.regarding)}/events`
    const key = `${path}/${name}`
    const entry = this.#known.get(key) ?? {
      event,
      path,
      name,
      firstObservedAt: now,
      lastObservedAt: now,
      count: 0,
      written: false,
      othersUntil: -Infinity,
      unwritten: true,
      failures: 0,
    }
    this.#known.delete(key)
    this.#known.set(key, entry)
    const [oldest] = this.#known.keys()
    if (this.#known.size > longestMemory && oldest !== undefined) this.#known.delete(oldest)
    return entry
  }

  async #attempt(entry: Entry, signal: AbortSignal): Promise<void> {
    if (this.#clock.now() < this.#silentUntil) return void this.#queue.delete(entry)
    try {
      entry.unwritten = false
      await this.#write(entry, signal)
      entry.failures = 0
      this.#queue.delete(entry)
      if (entry.unwritten) this.#enqueue(entry)
      this.#accepted()
    } catch (error) {
      if (signal.aborted) return
      if (isRefusal(error)) return this.#refused(entry, error)
      entry.failures += 1
      if (entry.failures >= mostTries) this.#drop(entry, error)
      await this.#clock.sleep(this.#backOff.failed(), signal).catch(() => undefined)
    }
  }

  async #write(entry: Entry, signal: AbortSignal): Promise<void> {
    if (entry.written && (await this.#countAgain(entry, signal))) return
    const { event, path, firstObservedAt } = entry
    const { reporter } = this.#settings
    const series = entry.count > 1 ? entry : undefined
    try {
      await this.#request('POST', path, signal, eventBody(event, reporter, firstObservedAt, series))
      entry.written = true
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error
      // Another node has reported it, or an agent of this node before us, whose count goes on from here.
      if (event.everyNode === true) return void (entry.othersUntil = this.#clock.now() + keptMs)
      entry.written = true
      entry.count += 1
      await this.#countAgain(entry, signal)
    }
  }

  /** @returns false when the Event is no longer kept: the API server forgets it after an hour. */
  async #countAgain(entry: Entry, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#request('PATCH', `${entry.path}/${entry.name}`, signal, seriesPatch(entry))
      return true
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error
      entry.written = false
      entry.count = 1
      return false
    }
  }

  async #request(method: 'POST' | 'PATCH', path: string, signal: AbortSignal, body: object): Promise<void> {
    await this.#settings.api.request(method, path, {
      body,
      signal,
      headersTimeoutMs: answerWithinMs,
      deadlineMs: answerWithinMs,
      ...(method === 'PATCH' ? { contentType: 'application/merge-patch+json' } : {}),
    })
  }

  #accepted(): void {
    this.#backOff.succeeded()
    if (this.#refusal !== undefined) this.#settings.log.info('Events are written again')
    this.#refusal = undefined
  }

  #refused(entry: Entry, error: ApiError): void {
    this.#drop(entry, error)
    // Its namespace is gone or about to go, and with it the object that the Event is about.
    if (error.status === 404 || error.message.includes('it is being terminated')) return
    const forbidden = error.status === 403
    if (forbidden) this.#silentUntil = this.#clock.now() + silenceMs
    const sentence = forbidden
      ? `Events are not written, since the API server refuses them (${error.message}): apply the ClusterRole of deploy/base/rbac.yaml, which allows to create and patch events.events.k8s.io`
      : `An Event was not written, since the API server refuses it: ${error.message}`
    // Each other Event would be refused in the same words but for its name.
    const kind = String(error.status)
    if (this.#refusal !== kind) this.#settings.log.warn(sentence)
    this.#refusal = kind
  }

  #drop(entry: Entry, error: unknown): void {
    this.#queue.delete(entry)
    entry.failures = 0
    const { kind, namespace, name } = entry.event.regarding
    this.#settings.log.debug({ err: error, kind, namespace, name, reason: entry.event.reason }, 'Event dropped')
  }
}

/** Whether the API server has read the request and will not take it, however often it comes. */
function isRefusal(error: unknown): error is ApiError {
  return (
    error instanceof ApiError && error.status >= 400 && error.status < 500 && ![401, 408, 429].includes(error.status)
  )
}
