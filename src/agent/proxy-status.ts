// What the service proxy tells the world of itself: health, health check node ports, metrics, connections per Service.
// It looks at the snapshots that a sync has put in force, and compares objects by identity: a reflector keeps the very
// object until something of it changes.
import type { Logger } from 'pino'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { Problem } from '../cluster/problem.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { ClusterService } from '../cluster/service.ts'
import type { Iptables } from '../iptables/iptables.ts'
import type { Family } from '../net/address.ts'
import { chainNames } from '../services/chain-names.ts'
import type { Endpoint } from '../services/endpoint.ts'
import { endpointsOf } from '../services/endpoints.ts'
import { ConnectionCounters, type CountedChain } from '../services/health/connection-counters.ts'
import { HealthCheckServers } from '../services/health/health-check-servers.ts'
import { localGaps } from '../services/health/local-gaps.ts'
import { ProgrammingLatency } from '../services/health/programming-latency.ts'
import { ProxyHealth } from '../services/health/proxy-health.ts'
import { serviceHealthChecks } from '../services/health/service-health-checks.ts'
import { type ServicePort, usesClusterEndpoints, usesLocalEndpoints } from '../services/service-port.ts'
import { servicePortsOf } from '../services/service-ports.ts'
import type { FamilyStatus, ServicesObserver } from '../services/services.ts'
import type { ProxyMetrics } from './proxy-metrics.ts'

export interface ProxySnapshots {
  readonly services: ReadonlyMap<string, ClusterService>
  readonly slices: ReadonlyMap<string, ClusterEndpointSlice>
}

export interface ProxyStatusParts {
  readonly nodeName: string
  readonly iptables: Iptables
  readonly metrics: ProxyMetrics
  readonly node: () => ClusterNode | undefined
  /** What no Service gets. */
  readonly needed: () => ProtectedPorts
  /** What there is now, in force or not. */
  readonly snapshots: () => ProxySnapshots
  /** One for each family that rules are written for; none before the node is known. */
  readonly status: () => readonly FamilyStatus[]
  readonly log: Logger
}

/** As kube-proxy's: twice its sync period. */
const patienceMs = 60_000
const nothing: ProxySnapshots = { services: new Map(), slices: new Map() }

export class ProxyStatus implements ServicesObserver, AsyncDisposable {
  readonly health: ProxyHealth
  readonly #parts: ProxyStatusParts
  readonly #servers: HealthCheckServers
  readonly #latency = new ProgrammingLatency()
  readonly #counters: ConnectionCounters
  /** What the last sync that went through has put in force. */
  #inForce: ProxySnapshots = nothing
  /** What the latency was told of. */
  #seen: ProxySnapshots = nothing
  /** Families that have been synced once: the first time everything is looked at. */
  readonly #begun = new Set<Family>()
  #queuedAt: number | undefined

  constructor(parts: ProxyStatusParts) {
    const { metrics, iptables, log } = parts
    this.#parts = parts
    this.health = new ProxyHealth({ patienceMs, eligible: () => parts.node()?.leaving === false })
    this.#servers = new HealthCheckServers({
      log,
      proxyHealthy: () => this.health.live,
      neededBy: (port) => parts.needed().neededBy(undefined, 'tcp', port),
      addresses: (family) => parts.status().find((each) => each.family === family)?.nodePortAddresses ?? [],
    })
    this.#counters = new ConnectionCounters({ iptables, log })
    metrics.publish({
      pending: () => ({
        services: differing(this.#inForce.services, parts.snapshots().services),
        endpoints: differing(this.#inForce.slices, parts.snapshots().slices),
      }),
      rules: () => parts.status(),
      localGaps: () => this.#families.map((family) => localGaps(family, this.#localPortsWithEndpoints(this.#inForce))),
      connections: () => this.#counters.readings,
    })
  }

  /** Health check node ports that cannot be opened. */
  get problems(): readonly Problem[] {
    return this.#servers.problems
  }

  /** Reads counters until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#counters.run(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#servers[Symbol.asyncDispose]()
  }

  /** Tries again to open health check node ports that another program has held. Never rejects. */
  async retry(): Promise<void> {
    await this.#servers.retry()
  }

  /** Something has changed that a sync is asked for. */
  queued(): void {
    this.#queuedAt ??= Date.now()
    for (const family of this.#families) {
      this.health.queued(family)
      this.#parts.metrics.queued(family)
    }
  }

  /** Around a sync of these snapshots. @throws what the sync throws. */
  async watch<T>(snapshots: ProxySnapshots, sync: () => Promise<T>): Promise<T> {
    this.#queuedAt = undefined
    this.#look(snapshots)
    const taken = this.#latency.take()
    try {
      const result = await sync()
      const families = this.#families
      for (const { family, seconds } of this.#latency.programmed(taken))
        if (families.includes(family)) this.#parts.metrics.programmed(family, seconds)
      await this.#inForceNow(snapshots)
      return result
    } catch (error) {
      this.#latency.failed(taken)
      throw error
    }
  }

  synced: ServicesObserver['synced'] = (family, seconds, written) => {
    const kind = this.#begun.has(family) ? 'partial' : 'full'
    if (written === undefined) return this.#parts.metrics.restoreFailed(family, kind)
    this.#begun.add(family)
    // kube-proxy's two tables: in mangle there is only what guards and marks them.
    const { filter, nat } = written.rules
    this.#parts.metrics.synced({ family, kind, seconds, rules: { filter, nat } })
    this.health.updated(family, this.#queuedAt)
  }

  repaired: ServicesObserver['repaired'] = (_, count) => this.#parts.metrics.repaired(count)

  conntrackCleaned: ServicesObserver['conntrackCleaned'] = (family, seconds, entries) =>
    this.#parts.metrics.conntrackCleaned(family, seconds, entries)

  get #families(): readonly Family[] {
    return this.#parts.status().map(({ family }) => family)
  }

  #look(now: ProxySnapshots): void {
    const { metrics } = this.#parts
    metrics.changed('service', differing(this.#seen.services, now.services))
    metrics.changed('endpoint', differing(this.#seen.slices, now.slices))
    for (const [key, slice] of now.slices) {
      if (this.#seen.slices.get(key) !== slice) this.#latency.sliceChanged(key, slice.family, slice.changeTriggeredAt)
    }
    for (const key of this.#seen.slices.keys()) if (!now.slices.has(key)) this.#latency.sliceGone(key)
    this.#seen = now
  }

  async #inForceNow(snapshots: ProxySnapshots): Promise<void> {
    if (snapshots.services !== this.#inForce.services)
      this.#counters.follow(countedChains(snapshots.services.values(), this.#families))
    this.#inForce = snapshots
    await this.#servers.follow(
      serviceHealthChecks(this.#portsThatMayStayLocal(snapshots), snapshots.slices.values(), this.#parts.nodeName),
    )
  }

  /** Few ports are asked for, so that slices are gone through for these alone. */
  #portsThatMayStayLocal({ services }: ProxySnapshots): ServicePort[] {
    const families = this.#families
    return [...services.values()]
      .filter(mayStayLocal)
      .flatMap((service) => families.flatMap((family) => servicePortsOf(service, family)))
  }

  #localPortsWithEndpoints(snapshots: ProxySnapshots): { port: ServicePort; endpoints: readonly Endpoint[] }[] {
    const ports = this.#portsThatMayStayLocal(snapshots).filter(
      ({ internalLocal, externalLocal }) => internalLocal || externalLocal,
    )
    return ports.map((port) => ({
      port,
      endpoints: endpointsOf(port, snapshots.slices.values(), this.#parts.nodeName),
    }))
  }
}

function mayStayLocal({ internalTrafficPolicy, externalTrafficPolicy }: ClusterService): boolean {
  return internalTrafficPolicy === 'Local' || externalTrafficPolicy === 'Local'
}

function* countedChains(services: Iterable<ClusterService>, families: readonly Family[]): Generator<CountedChain> {
  for (const service of services) {
    for (const port of families.flatMap((family) => servicePortsOf(service, family))) {
      const { cluster, local } = chainNames(port)
      if (usesClusterEndpoints(port)) yield { chain: cluster, port }
      if (usesLocalEndpoints(port)) yield { chain: local, port }
    }
  }
}

/** How many came, went or changed. */
function differing<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): number {
  if (before === after) return 0
  let count = 0
  for (const [key, value] of after) if (before.get(key) !== value) count++
  for (const key of before.keys()) if (!after.has(key)) count++
  return count
}
