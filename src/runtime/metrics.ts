// What the agent tells Prometheus. Names and labels are part of the interface: dashboards rely on them.
import type { RequestListener } from 'node:http'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { CommandObserver } from '../kernel/command-observer.ts'

/** A gauge's values, read when Prometheus asks. */
export interface Reading {
  readonly labels: Record<string, string>
  readonly value: number
}

/** ms: three weeks. */
const never = 2 ** 31 - 1
/** As kube-proxy answers these two. */
const plainText = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }
const cniBuckets = [0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1, 5, 30]

export class Metrics {
  readonly registry = new Registry()

  readonly cniRequests = new Histogram({
    name: 'fairlead_cni_request_seconds',
    help: 'CNI requests by command and CNI error code (0: success)',
    labelNames: ['command', 'code'],
    buckets: cniBuckets,
    registers: [this.registry],
  })
  readonly cniPhases = new Histogram({
    name: 'fairlead_cni_phase_seconds',
    help: 'Parts of CNI requests',
    labelNames: ['phase'],
    buckets: cniBuckets,
    registers: [this.registry],
  })
  readonly reconcileSeconds = new Histogram({
    name: 'fairlead_reconcile_seconds',
    help: 'Full passes by room',
    labelNames: ['room'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.5, 1, 5],
    registers: [this.registry],
  })
  readonly reconcileChanges = new Counter({
    name: 'fairlead_reconcile_changes_total',
    help: 'Differences between what the kernel held and what it should hold, by kind of object',
    labelNames: ['room', 'kind'],
    registers: [this.registry],
  })
  readonly reconcileFailures = new Counter({
    name: 'fairlead_reconcile_failures_total',
    help: 'Changes that the kernel refused, by kind of object',
    labelNames: ['room', 'kind'],
    registers: [this.registry],
  })
  readonly commands = new Histogram({
    name: 'fairlead_command_seconds',
    help: 'One-shot commands by tool and outcome',
    labelNames: ['tool', 'ok'],
    buckets: [0.002, 0.005, 0.01, 0.05, 0.2, 1, 5],
    registers: [this.registry],
  })
  readonly batchLines = new Counter({
    name: 'fairlead_batch_lines_total',
    help: 'Lines written to batch sessions by tool',
    labelNames: ['tool'],
    registers: [this.registry],
  })

  /** For kernel/: called at each command and each batch. */
  readonly commandObserver: CommandObserver = {
    command: (tool, seconds, ok) => this.commands.observe({ tool, ok: String(ok) }, seconds),
    lines: (tool, count) => this.batchLines.inc({ tool }, count),
  }

  /** For pods/: called at the end of each phase of a CNI request. */
  readonly observeCni = (phase: string, seconds: number): void => this.cniPhases.observe({ phase }, seconds)

  /** For pods/: called when a CNI request has been answered. */
  readonly observeCniRequest = (command: string, code: number, seconds: number): void =>
    this.cniRequests.observe({ command, code: String(code) }, seconds)

  constructor() {
    // As often as prom-client does it unasked, watching the event loop would wake us a hundred times a second: half a
    // per cent of a core, more than all else that an idle agent does.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: never })
    for (const what of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'])
      this.registry.removeSingleMetric(`nodejs_eventloop_lag_${what}_seconds`)
  }

  /** A gauge that is read from its source at each scrape, so it can't be stale. */
  gauge(name: string, help: string, labelNames: readonly string[], read: () => readonly Reading[]): void {
    const collect = function (this: Gauge): void {
      this.reset()
      for (const { labels, value } of read()) this.set(labels, value)
    }
    this.registry.registerMetric(new Gauge({ name, help, labelNames: [...labelNames], registers: [], collect }))
  }

  readonly handler: RequestListener = (request, response) => {
    const path = request.url?.split('?')[0]
    // These two are what Kubernetes' own tests ask of whatever proxies Services.
    if (path === '/healthz') return void response.writeHead(200, plainText).end('ok')
    if (path === '/proxyMode') return void response.writeHead(200, plainText).end('iptables')
    if (path !== '/metrics') return void response.writeHead(404).end('try /metrics, /healthz or /proxyMode\n')
    this.registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': this.registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
    )
  }
}
