// Records Events of core/v1 about objects (`kubectl describe`, `kubectl events`), like the controllers and kubelets of
// Kubernetes do. A repeated event increments a count. An event that cannot be written is dropped, because nothing but
// people depends on it.
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { ApiError } from '../cluster/api-error.ts'

/** The object that an event is about. */
export interface EventSubject {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** "spec.containers{web}" */
  readonly fieldPath?: string
}

export interface EventDetails {
  readonly type: 'Normal' | 'Warning'
  /** One word in CamelCase: "Scheduled". */
  readonly reason: string
  readonly message: string
}

export interface LabEventRecorderSettings {
  readonly api: Pick<ApiConnection, 'request'>
  /** The component that reports: "kubelet". */
  readonly component: string
  /** The node of the component. */
  readonly host?: string
  readonly log: Pick<Logger, 'debug'>
}

interface Series {
  readonly path: string
  count: number
}

/** The number of events remembered for counting; the oldest is forgotten first. */
const maxSeries = 500

export class LabEventRecorder {
  readonly #settings: LabEventRecorderSettings
  readonly #series = new Map<string, Series>()
  #last: Promise<void> = Promise.resolve()

  constructor(settings: LabEventRecorderSettings) {
    this.#settings = settings
  }

  /** Records an event and returns at once. Events are written one after the other. */
  record(subject: EventSubject, details: EventDetails): void {
    const now = Date.now()
    this.#last = this.#last.then(async () => await this.#write(subject, details, now))
  }

  /** Resolves when every event recorded so far is written or dropped. */
  async settled(): Promise<void> {
    await this.#last
  }

  async #write(subject: EventSubject, details: EventDetails, now: number): Promise<void> {
    const key = JSON.stringify([subject, details])
    const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')
    try {
      const series = this.#series.get(key)
      if (series === undefined || !(await this.#incrementCount(series, time)))
        this.#series.set(key, await this.#create(subject, details, time, now))
      const [oldest] = this.#series.keys()
      if (this.#series.size > maxSeries && oldest !== undefined) this.#series.delete(oldest)
    } catch (error) {
      const { kind, namespace, name } = subject
      this.#settings.log.debug(
        { err: error, reason: details.reason, object: `${kind} ${namespace}/${name}` },
        'event dropped',
      )
    }
  }

  async #create(subject: EventSubject, details: EventDetails, time: string, now: number): Promise<Series> {
    const { api, component, host } = this.#settings
    const { namespace } = subject
    const name = `${subject.name}.${(BigInt(now) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n)).toString(16)}`
    const source = { component, ...(host === undefined ? {} : { host }) }
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: subject,
      ...details,
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

  /** @returns false when the event does not exist any more. */
  async #incrementCount(series: Series, time: string): Promise<boolean> {
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
