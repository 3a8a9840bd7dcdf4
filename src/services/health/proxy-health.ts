// Whether the rules keep up with the cluster, as kube-proxy's :10256 tells load balancers and Kubernetes itself
// (kubernetes pkg/proxy/healthcheck/proxy_health.go).
//
// Live: no change has waited for twice the sync period. Healthy: live, and this node is one that traffic should be sent
// to. The node's own pods being served is another question: /readyz answers it.
import type { Family } from '../../net/address.ts'

export interface ProxyHealthSettings {
  /** ms that a change may wait to be in force. */
  readonly patienceMs: number
  /** Whether load balancers may send traffic here: the Node is known and not leaving. */
  readonly eligible: () => boolean
  /** ms since the epoch. */
  readonly now?: () => number
}

/** What a load balancer is told: an HTTP status, headers and body. */
export interface HealthAnswer {
  readonly status: 200 | 503
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

interface FamilyState {
  /** Of the last sync that went through; the start before there was one. */
  updatedAt: number
  /** Since when the oldest change waits. */
  queuedAt: number | undefined
}

/** The headers of every answer. */
const jsonHeaders = { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' }

export class ProxyHealth {
  readonly #settings: ProxyHealthSettings
  readonly #now: () => number
  readonly #startedAt: number
  /** Those that we have been told of. */
  readonly #families = new Map<Family, FamilyState>()

  constructor(settings: ProxyHealthSettings) {
    this.#settings = settings
    this.#now = settings.now ?? Date.now
    this.#startedAt = this.#now()
  }

  /** A change waits to be programmed. */
  queued(family: Family): void {
    this.#stateOf(family).queuedAt ??= this.#now()
  }

  /**
   * All that had been queued when the sync began is in force.
   * @param waitingSince ms since the epoch: since when something waits that came later.
   */
  updated(family: Family, waitingSince?: number): void {
    const state = this.#stateOf(family)
    state.updatedAt = this.#now()
    state.queuedAt = waitingSince
  }

  get live(): boolean {
    return [...this.#families.values()].every((state) => this.#isLive(state))
  }

  /** GET /healthz: what load balancers of Services with externalTrafficPolicy Cluster ask (KEP-3836). */
  healthz(): HealthAnswer {
    const nodeEligible = this.#settings.eligible()
    return this.#answer(this.live && nodeEligible, { nodeEligible })
  }

  /** GET /livez */
  livez(): HealthAnswer {
    return this.#answer(this.live, {})
  }

  #answer(ok: boolean, more: object): HealthAnswer {
    const now = this.#now()
    const states = [...this.#families.values()]
    // What is healthy is so now; what is not shows how long ago it was.
    const lastUpdated = timeText(ok ? now : Math.min(...states.map(({ updatedAt }) => updatedAt), now))
    const status = Object.fromEntries(
      Array.from(this.#families, ([family, state]) => [
        `IPv${family}`,
        { lastUpdated: timeText(state.updatedAt), healthy: this.#isLive(state) },
      ]),
    )
    return {
      status: ok ? 200 : 503,
      headers: jsonHeaders,
      body: JSON.stringify({ lastUpdated, currentTime: timeText(now), ...more, healthy: this.live, status }),
    }
  }

  #stateOf(family: Family): FamilyState {
    const state = this.#families.get(family) ?? { updatedAt: this.#startedAt, queuedAt: undefined }
    this.#families.set(family, state)
    return state
  }

  #isLive({ queuedAt }: FamilyState): boolean {
    return queuedAt === undefined || this.#now() - queuedAt < this.#settings.patienceMs
  }
}

/** GET on a health check node port: how many endpoints this node has, and whether its rules keep up. */
export function serviceHealth(
  service: { readonly namespace: string; readonly name: string },
  localEndpoints: number,
  proxyHealthy: boolean,
): HealthAnswer {
  const body = {
    service: { namespace: service.namespace, name: service.name },
    localEndpoints,
    serviceProxyHealthy: proxyHealthy,
  }
  return {
    status: localEndpoints > 0 && proxyHealthy ? 200 : 503,
    headers: { ...jsonHeaders, 'x-load-balancing-endpoint-weight': String(localEndpoints) },
    body: JSON.stringify(body, undefined, '\t'),
  }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
