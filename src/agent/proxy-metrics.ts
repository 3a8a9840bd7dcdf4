// kube-proxy's metrics under kube-proxy's names (kubernetes pkg/proxy/metrics), so that dashboards and alerts go on
// working, and a few of our own.
import { Counter, Gauge, Histogram } from 'prom-client'
import type { Family } from '../net/address.ts'
import type { ConnectionCount } from '../services/health/connection-counters.ts'
import type { LocalGaps } from '../services/health/local-gaps.ts'
import type { Metrics } from '../runtime/metrics.ts'

/** One sync of one family that went through. */
export interface SyncFacts {
  readonly family: Family
  /** `full`: everything was looked at, not only what had changed. */
  readonly kind: 'full' | 'partial'
  readonly seconds: number
  /** Rules written, by table. */
  readonly rules: Readonly<Record<string, number>>
}

/** What is read when Prometheus asks. */
export interface ProxySources {
  /** How many of them wait for a sync. */
  readonly pending: () => { readonly services: number; readonly endpoints: number }
  /** All rules that are ours, by table, and the ms from one look at each to the next. */
  readonly rules: () => readonly {
    readonly family: Family
    readonly rules: Readonly<Record<string, number>>
    readonly auditPeriod: number | undefined
  }[]
  readonly localGaps: () => readonly LocalGaps[]
  readonly connections: () => readonly ConnectionCount[]
}

/** Seconds: 1 ms to 16 s, each twice the one before. */
const syncBuckets = Array.from({ length: 15 }, (_, k) => 0.001 * 2 ** k)
/** kube-proxy's: its MergeBuckets begins each list with 0. */
const latencyBuckets = [0, 0.25, 0.5, ...steps(1, 59, 1), ...steps(60, 115, 5), ...steps(120, 300, 30)]

export class ProxyMetrics {
  readonly #metrics: Metrics
  readonly #syncSeconds: Readonly<Record<'any' | 'full' | 'partial', Histogram>>
  readonly #latency: Histogram
  readonly #lastSync: Gauge
  readonly #lastQueued: Gauge
  readonly #changes: Readonly<Record<'service' | 'endpoint', Counter>>
  readonly #failures: Readonly<Record<'any' | 'partial', Counter>>
  readonly #rulesWritten: Gauge
  readonly #conntrackSeconds: Histogram
  readonly #conntrackDeleted: Counter
  readonly #answers: Readonly<Record<'healthz' | 'livez', Counter>>

  constructor(metrics: Metrics) {
    this.#metrics = metrics
    this.#syncSeconds = {
      any: this.#histogram('sync_proxy_rules_duration_seconds', 'Syncs of the rules', syncBuckets),
      full: this.#histogram('sync_full_proxy_rules_duration_seconds', 'Syncs that looked at everything', syncBuckets),
      partial: this.#histogram('sync_partial_proxy_rules_duration_seconds', 'Syncs of what had changed', syncBuckets),
    }
    this.#latency = this.#histogram(
      'network_programming_duration_seconds',
      'From a change in the cluster until the rules followed',
      latencyBuckets,
    )
    this.#lastSync = this.#gauge('sync_proxy_rules_last_timestamp_seconds', 'When the last sync went through')
    this.#lastQueued = this.#gauge('sync_proxy_rules_last_queued_timestamp_seconds', 'When a sync was last asked for')
    this.#changes = {
      service: this.#counter('sync_proxy_rules_service_changes_total', 'Changes of Services', []),
      endpoint: this.#counter('sync_proxy_rules_endpoint_changes_total', 'Changes of EndpointSlices', []),
    }
    this.#failures = {
      any: this.#counter('sync_proxy_rules_iptables_restore_failures_total', 'Runs of iptables-restore that failed'),
      partial: this.#counter(
        'sync_proxy_rules_iptables_partial_restore_failures_total',
        'Runs of iptables-restore that failed in a sync of what had changed',
      ),
    }
    this.#rulesWritten = this.#gauge('sync_proxy_rules_iptables_last', 'Rules written in the last sync', [
      'table',
      'ip_family',
    ])
    this.#conntrackSeconds = this.#histogram(
      'conntrack_reconciler_sync_duration_seconds',
      'Deletions of stale UDP entries',
      syncBuckets,
    )
    this.#conntrackDeleted = this.#counter('conntrack_reconciler_deleted_entries_total', 'Stale UDP entries deleted')
    this.#answers = {
      healthz: this.#counter('proxy_healthz_total', 'Answers of /healthz', ['code']),
      livez: this.#counter('proxy_livez_total', 'Answers of /livez', ['code']),
    }
  }

  queued(family: Family, atMs = Date.now()): void {
    this.#lastQueued.set(of(family), atMs / 1000)
  }

  synced({ family, kind, seconds, rules }: SyncFacts, atMs = Date.now()): void {
    this.#syncSeconds.any.observe(of(family), seconds)
    this.#syncSeconds[kind].observe(of(family), seconds)
    this.#lastSync.set(of(family), atMs / 1000)
    for (const [table, written] of Object.entries(rules)) this.#rulesWritten.set({ table, ...of(family) }, written)
  }

  restoreFailed(family: Family, kind: SyncFacts['kind']): void {
    this.#failures.any.inc(of(family))
    if (kind === 'partial') this.#failures.partial.inc(of(family))
  }

  changed(kind: 'service' | 'endpoint', count = 1): void {
    this.#changes[kind].inc(count)
  }

  /** A change that is in force. @param seconds since it was made. */
  programmed(family: Family, seconds: number): void {
    this.#latency.observe(of(family), seconds)
  }

  conntrackCleaned(family: Family, seconds: number, deleted: number): void {
    this.#conntrackSeconds.observe(of(family), seconds)
    this.#conntrackDeleted.inc(of(family), deleted)
  }

  /** Chains and jumps that another program had changed. */
  repaired(count: number): void {
    this.#metrics.reconcileChanges.inc({ room: 'services', kind: 'chain' }, count)
  }

  answered(path: 'healthz' | 'livez', code: number): void {
    this.#answers[path].inc({ code: String(code) })
  }

  /** To be called once. */
  publish(sources: ProxySources): void {
    this.#metrics.gauge(
      'kubeproxy_sync_proxy_rules_service_changes_pending',
      'Services that wait for a sync',
      [],
      () => [{ labels: {}, value: sources.pending().services }],
    )
    this.#metrics.gauge(
      'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
      'EndpointSlices that wait for a sync',
      [],
      () => [{ labels: {}, value: sources.pending().endpoints }],
    )
    this.#metrics.gauge(
      'kubeproxy_sync_proxy_rules_iptables_total',
      'Rules that are ours',
      ['table', 'ip_family'],
      () =>
        sources
          .rules()
          .flatMap(({ family, rules }) =>
            Object.entries(rules).map(([table, value]) => ({ labels: { table, ...of(family) }, value })),
          ),
    )
    this.#metrics.gauge(
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
      'Service ports with policy Local that have endpoints, but none on this node',
      ['traffic_policy', 'ip_family'],
      () =>
        sources.localGaps().flatMap(({ family, internal, external }) =>
          Object.entries({ internal, external }).map(([policy, value]) => ({
            labels: { traffic_policy: policy, ...of(family) },
            value,
          })),
        ),
    )
    this.#metrics.gauge(
      'fairlead_service_audit_seconds',
      'How long a single rule that another program has changed may stay so',
      ['ip_family'],
      () =>
        sources
          .rules()
          .flatMap(({ family, auditPeriod }) =>
            auditPeriod === undefined ? [] : [{ labels: of(family), value: auditPeriod / 1000 }],
          ),
    )
    this.#metrics.gauge(
      'fairlead_service_connections_total',
      'New connections by Service port and the chain that spread them (KUBE-SVL: to this node alone)',
      ['namespace', 'service', 'port', 'protocol', 'ip_family', 'policy'],
      () =>
        sources.connections().map(({ chain, port, connections }) => ({
          labels: {
            namespace: port.namespace,
            service: port.name,
            port: port.portName,
            protocol: port.protocol,
            ...of(port.family),
            policy: chain.startsWith('KUBE-SVL-') ? 'Local' : 'Cluster',
          },
          value: connections,
        })),
    )
  }

  #histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    return new Histogram({
      name: `kubeproxy_${name}`,
      help,
      labelNames: ['ip_family'],
      buckets: [...buckets],
      registers: [this.#metrics.registry],
    })
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = ['ip_family']): Gauge {
    return new Gauge({
      name: `kubeproxy_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.#metrics.registry],
    })
  }

  #counter(name: string, help: string, labelNames: readonly string[] = ['ip_family']): Counter {
    return new Counter({
      name: `kubeproxy_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.#metrics.registry],
    })
  }
}

function of(family: Family): { ip_family: string } {
  return { ip_family: `IPv${family}` }
}

function steps(from: number, to: number, by: number): number[] {
  return Array.from({ length: (to - from) / by + 1 }, (_, i) => from + i * by)
}
