// EndpointSlices that name a Service which does not exist: somebody's mistyped label, or what a Service left behind.
// Nothing can be made of them, and it should be said.
//
// For a moment every cluster has some, since the slices of a Service come and go after it and each kind is watched on
// its own. And a Service that is not watched, a headless one or another proxy's, looks the same from here. So a slice
// is told of only when that has lasted, and the API server has been asked.
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { Problem } from '../cluster/problem.ts'
import type { ClusterService } from '../cluster/service.ts'

interface Suspect {
  slice: ClusterEndpointSlice
  /** ms: when to ask for the Service. */
  askAt: number
  missing: boolean
}

/** ms that a slice may be without its Service. */
const patience = 10_000
/** ms from one question for a Service to the next. */
const askAgain = 600_000
/** Of a cluster full of them, so many at a time. */
const askedAtOnce = 10

export class OrphanSlices {
  readonly #exists: (service: { namespace: string; name: string }) => Promise<boolean>
  #suspects = new Map<string, Suspect>()
  #seen: readonly unknown[] = []

  /** @param exists asks the API server; where it throws, it is asked later. */
  constructor(exists: (service: { namespace: string; name: string }) => Promise<boolean>) {
    this.#exists = exists
  }

  /** Those that are known to name no Service. */
  get problems(): readonly Problem[] {
    return [...this.#suspects.values()]
      .filter(({ missing }) => missing)
      .map(({ slice: { namespace, name, service } }) => ({
        sentence: `EndpointSlice ${namespace}/${name} is left out: Service ${namespace}/${service}, which it names, does not exist; create it, or correct the label kubernetes.io/service-name`,
        reason: 'slice-of-missing-service',
      }))
  }

  /**
   * To be called every few seconds, answered or not: it costs nothing while nothing changes. Never rejects.
   * @param now ms
   */
  async look(
    services: ReadonlyMap<string, ClusterService>,
    slices: ReadonlyMap<string, ClusterEndpointSlice>,
    now: number,
  ): Promise<void> {
    if (this.#seen[0] !== services || this.#seen[1] !== slices)
      this.#suspects = this.#withoutService(services, slices, now)
    this.#seen = [services, slices]
    const due = [...this.#suspects.values()].filter(({ askAt }) => askAt <= now).slice(0, askedAtOnce)
    await Promise.all(due.map(async (suspect) => this.#ask(suspect, now)))
  }

  #withoutService(
    services: ReadonlyMap<string, ClusterService>,
    slices: ReadonlyMap<string, ClusterEndpointSlice>,
    now: number,
  ): Map<string, Suspect> {
    const suspects = new Map<string, Suspect>()
    for (const [key, slice] of slices) {
      if (services.has(`${slice.namespace}/${slice.service}`)) continue
      const known = this.#suspects.get(key)
      suspects.set(
        key,
        known?.slice.service === slice.service ? known : { slice, askAt: now + patience, missing: false },
      )
    }
    return suspects
  }

  async #ask(suspect: Suspect, now: number): Promise<void> {
    const { namespace, service: name } = suspect.slice
    suspect.askAt = now + askAgain
    try {
      suspect.missing = !(await this.#exists({ namespace, name }))
    } catch {
      suspect.askAt = now + patience
    }
  }
}
