// Events: what controllers and kubelets have to tell people about an object (`kubectl describe`, `kubectl events`).
// What is said again is counted, not repeated. An event that cannot be written is dropped: nothing but reading depends
// on it.
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { ApiError } from '../cluster/api-error.ts'

/** What an event is about. */
export interface EventSubject {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** "spec.containers{web}" */
  readonly fieldPath?: string
}

export interface EventWords {
  readonly type: 'Normal' | 'Warning'
  /** One word in CamelCase: "Scheduled". */
  readonly reason: string
  readonly message: string
}

export interface EventRecorderSettings {
  readonly api: Pick<ApiConnection, 'request'>
  /** Who speaks: "kubelet". */
  readonly component: string
  /** The node it speaks from. */
  readonly host?: string
  readonly log: Pick<Logger, 'debug'>
}

interface Series {
  readonly path: string
  count: number
}

/** Events that are remembered in order to count them; beyond it the oldest begins anew. */
const rememberedSeries = 500

export class EventRecorder {
  readonly #settings: EventRecorderSettings
  readonly #series = new Map<string, Series>()
  #last: Promise<void> = Promise.resolve()

  constructor(settings: EventRecorderSettings) {
    this.#settings = settings
  }

  /** Returns at once; events are written one after the other. */
  record(subject: EventSubject, words: EventWords): void {
    const now = Date.now()
    this.#last = this.#last.then(async () => await this.#write(subject, words, now))
  }

  /** Resolves when all that was recorded by now is written or dropped. */
  async settled(): Promise<void> {
    await this.#last
  }

  async #write(subject: EventSubject, words: EventWords, now: number): Promise<void> {
    const key = JSON.stringify([subject, words])
    const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')
    try {
      const series = this.#series.get(key)
      if (series === undefined || !(await this.#countAgain(series, time)))
        this.#series.set(key, await this.#create(subject, words, time, now))
      const [oldest] = this.#series.keys()
      if (this.#series.size > rememberedSeries && oldest !== undefined) this.#series.delete(oldest)
    } catch (error) {
      this.#settings.log.debug(
        { err: error },
        `the event ${words.reason} of ${subject.kind} ${subject.namespace}/${subject.name} is dropped`,
      )
    }
  }

  async #create(subject: EventSubject, words: EventWords, time: string, now: number): Promise<Series> {
    const { api, component, host } = this.#settings
    const { namespace } = subject
    const name = `${subject.name}.${(BigInt(now) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n)).toString(16)}`
    const source = { component, ...(host === undefined ? {} : { host }) }
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: subject,
      ...words,
      source,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
      reportingComponent: component,
      reportingInstance: host ?? '',
    }
    await api.request('POST', `/api/v1/namespaces/${namespace}/events`, { body })
    return { path: `/api/v1/namespaces/${namespace}/events/${name}`, count: 1 }
  }

  /** Answers false when the event is no longer kept. */
  async #countAgain(series: Series, time: string): Promise<boolean> {
    const body = { count: series.count + 1, lastTimestamp: time }
    try {
      await this.#settings.api.request('PATCH', series.path, { body, contentType: 'application/merge-patch+json' })
      series.count++
      return true
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false
      throw error
    }
  }
}
