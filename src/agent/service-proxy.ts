// Services in the agent: what is watched for them, when they are synced, and how they are handed over to another proxy.
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { systemClock } from '../runtime/clock.ts'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { Problem } from '../cluster/problem.ts'
import { projectEndpointSlice, sameEndpointSlice } from '../cluster/project-endpoint-slice.ts'
import { projectServiceCidr, sameServiceCidrs, type ServiceCidrs } from '../cluster/project-service-cidr.ts'
import { projectService, sameService } from '../cluster/project-service.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import { Reflector } from '../cluster/reflector.ts'
import type { ClusterService } from '../cluster/service.ts'
import type { Iptables } from '../iptables/iptables.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { familyOf } from '../net/address.ts'
import type { ProxyHealth } from '../services/health/proxy-health.ts'
import { OrphanSlices } from '../services/orphan-slices.ts'
import { Services } from '../services/services.ts'
import { ownerOf } from '../services/ownership.ts'
import { raiseStandby, renewalMs, renewStandby } from '../services/standby.ts'
import type { ApiServerPlaces } from './api-server-places.ts'
import { HandOver } from './hand-over.ts'
import type { LiveConfig } from './live-config.ts'
import type { OtherProxy } from './other-proxy.ts'
import { OtherProxyWatch } from './other-proxy-watch.ts'
import type { ProxyMetrics } from './proxy-metrics.ts'
import { type ProxySnapshots, ProxyStatus } from './proxy-status.ts'
import type { Repairs } from '../runtime/repairs.ts'
import { ReportedError, Reports } from '../runtime/reports.ts'
import { servicesOptions } from './services-options.ts'
import type { StandingEvents } from './standing-events.ts'
import { Loop } from '../runtime/loop.ts'

export interface ServiceProxyParts {
  readonly live: LiveConfig
  readonly api: ApiConnection
  readonly kernel: Kernel
  readonly iptables: Iptables
  readonly other: OtherProxy
  readonly nodes: Reflector<ClusterNode>
  readonly metrics: ProxyMetrics
  readonly repairs: Repairs
  readonly events: StandingEvents
  /** What no Service gets. */
  readonly needed: () => ProtectedPorts
  /** Where the API server is, which is known when {@link ApiServerPlaces.whenKnown} says so. */
  readonly places: ApiServerPlaces
  readonly log: Logger
}

export class ServiceProxy {
  readonly #parts: ServiceProxyParts
  readonly #reports: Reports
  readonly services: Reflector<ClusterService>
  readonly slices: Reflector<ClusterEndpointSlice>
  /** Undefined where nothing depends on them. An older API server has none: then nothing is refused. */
  readonly serviceCidrs: Reflector<ServiceCidrs> | undefined
  readonly #status: ProxyStatus
  readonly #orphans: OrphanSlices
  #rules: Services | undefined
  #loop: Loop | undefined
  /** Claims of Services that others have, as of the last sync that went through. */
  #conflicts: readonly Problem[] = []
  readonly #others: OtherProxyWatch
  /** While Services are being handed over to another proxy. */
  #handOver: HandOver | undefined
  /** Aborted when another proxy has all Services. */
  readonly #handedOver = new AbortController()

  constructor(parts: ServiceProxyParts) {
    this.#parts = parts
    this.#reports = new Reports(parts.log)
    const { api, log } = parts
    this.services = new Reflector({
      api,
      path: '/api/v1/services',
      selector: { label: '!service.kubernetes.io/service-proxy-name', field: 'spec.clusterIP!=None' },
      project: projectService,
      equals: sameService,
      log,
    })
    this.slices = new Reflector({
      api,
      path: '/apis/discovery.k8s.io/v1/endpointslices',
      selector: { label: '!service.kubernetes.io/headless' },
      project: projectEndpointSlice,
      equals: sameEndpointSlice,
      log,
    })
    if (parts.live.current.refuseUnassigned)
      this.serviceCidrs = new Reflector({
        api,
        path: '/apis/networking.k8s.io/v1/servicecidrs',
        project: projectServiceCidr,
        equals: sameServiceCidrs,
        log,
      })
    this.#orphans = new OrphanSlices(async ({ namespace, name }) => {
      const { items } = await api.request<{ items: readonly unknown[] }>(
        'GET',
        `/api/v1/namespaces/${namespace}/services`,
        { query: { fieldSelector: `metadata.name=${name}` } },
      )
      return items.length > 0
    })
    this.#status = new ProxyStatus({
      ...parts,
      nodeName: parts.live.current.nodeName,
      node: () => parts.nodes.snapshot.get(parts.live.current.nodeName),
      snapshots: () => this.#snapshots(),
      status: () => this.#rules?.status() ?? [],
    })
    this.#others = new OtherProxyWatch(parts)
  }

  /** For /healthz and /livez; undefined where the proxy is off. */
  get health(): ProxyHealth | undefined {
    return this.#parts.live.current.serviceProxy ? this.#status.health : undefined
  }

  /** What is programmed; undefined until Services, slices and our own Node are known, and where the proxy is off. */
  get rules(): Services | undefined {
    return this.#rules
  }

  /**
   * What is wrong between Services, and between them and this node; what is wrong in one object its reflector knows.
   */
  get problems(): readonly Problem[] {
    return [...this.#conflicts, ...this.#status.problems, ...this.#others.problems]
  }

  /** Why rules of Services are not in force as the cluster has them; empty when they are. */
  get failing(): readonly string[] {
    return this.#reports.about('service rules')
  }

  /** What is wrong with the rules themselves. */
  get ruleProblems(): readonly string[] {
    return [...this.failing, ...this.#reports.about('service drift')]
  }

  /** Slices of Services that do not exist. */
  get sliceProblems(): readonly Problem[] {
    return this.#orphans.problems
  }

  /** What a person should know of this node's proxies: one sentence each. */
  get sentences(): readonly string[] {
    return [...(this.#handOver?.sentences ?? []), ...this.#others.problems.map(({ sentence }) => sentence)]
  }

  /** Asks for a sync of everything that has changed. */
  trigger(): void {
    this.#loop?.trigger()
  }

  /** Runs until the signal. Never rejects. Rules stay: an upgrade drops no connection. */
  async run(signal: AbortSignal): Promise<void> {
    const { serviceProxy, handOver } = this.#parts.live.current
    if (serviceProxy) await this.#serve(signal)
    else if (handOver) await this.#handOverServices(signal)
    else await this.#remove()
  }

  async #serve(signal: AbortSignal): Promise<void> {
    const begun = this.#begin()
    const renewal = setInterval(() => void this.#renewStandby(), renewalMs)
    await Promise.all([
      this.services.run(signal),
      this.slices.run(signal),
      this.serviceCidrs?.run(signal),
      this.#program(signal, begun),
    ])
    clearInterval(renewal)
  }

  /** Serves Services until another proxy does. */
  async #handOverServices(signal: AbortSignal): Promise<void> {
    const { log } = this.#parts
    const handOver = new HandOver({ ...this.#parts, reports: this.#reports })
    try {
      await handOver.begin()
      if (handOver.families.length === 0) return
      this.#handOver = handOver
      await this.#serve(AbortSignal.any([signal, this.#handedOver.signal]))
      if (this.#handedOver.signal.aborted) await handOver.end()
    } catch (error) {
      log.warn({ err: error }, 'cannot look for service rules of an earlier run; `fairlead cleanup` removes them')
    }
    this.#handOver = undefined
  }

  /** @param begun settles when it is known what was there before. */
  async #program(signal: AbortSignal, begun: Promise<void>): Promise<void> {
    const { nodes } = this.#parts
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    // Half of what there is would look like the rest were deleted.
    await Promise.race([
      Promise.all([
        nodes.whenSynced(),
        this.services.whenSynced(),
        this.slices.whenSynced(),
        this.#parts.places.whenKnown,
      ]),
      stopped,
    ])
    await begun
    this.#loop = new Loop({
      reconcile: () => this.#sync(),
      audit: () => this.#audit(),
      auditDue: () => this.#auditDue,
      onError: (error) => this.#failed(error),
      clock: systemClock,
    })
    for (const reflector of [nodes, this.services, this.slices]) {
      reflector.onChange(() => {
        this.#status.queued()
        this.#loop?.trigger()
      })
    }
    this.serviceCidrs?.onChange(() => this.#loop?.trigger())
    this.#parts.live.onChange(() => this.#loop?.trigger())
    this.#parts.places.onChange(() => this.#loop?.trigger())
    this.#loop.trigger()
    await using status = this.#status
    await Promise.all([this.#loop.run(signal), status.run(signal)])
    await this.#rules?.idle()
  }

  async #sync(): Promise<void> {
    const { live, nodes, kernel, needed, log } = this.#parts
    const config = live.current
    const node = nodes.snapshot.get(config.nodeName)
    if (node === undefined) return
    const rules = (this.#rules ??= this.#open(node))
    const tcpBeLiberal = (await kernel.readSysctl('net/netfilter/nf_conntrack_tcp_be_liberal')) === '1'
    const serviceCidrs = [...(this.serviceCidrs?.snapshot.values() ?? [])].flat()
    rules.configure(servicesOptions(config, { tcpBeLiberal, serviceCidrs }))
    const snapshots = this.#snapshots()
    rules.protect(needed())
    rules.update(snapshots.services, snapshots.slices, node)
    const { chains, restores, problems } = await this.#status.watch(snapshots, () => rules.sync())
    this.#conflicts = problems
    this.#reports.say(
      'services',
      problems.map(({ sentence }) => sentence),
    )
    this.#reports.say('service rules', [])
    this.#parts.events.say('services', this.problems)
    if (chains > 0) log.debug({ chains, restores }, 'service rules written')
  }

  get #auditDue(): number | undefined {
    const due = this.#rules?.auditDue
    return due === undefined || this.#handOver === undefined ? due : Math.min(due, this.#handOver.due)
  }

  async #audit(): Promise<void> {
    if (this.#rules !== undefined) await this.#lookForOthers(this.#rules)
    await this.#status.retry()
    this.#parts.repairs.note('services', await this.#repaired())
    this.#parts.events.say('services', this.problems)
    // It asks the API server, for whose answer no rule waits.
    void this.#lookForOrphans()
  }

  /** Never rejects: rules are audited whether or not other proxies can be seen. */
  async #lookForOthers(rules: Services): Promise<void> {
    try {
      if (this.#handOver === undefined) await this.#others.look(rules.families)
      else if (this.#handOver.due <= Date.now()) await this.#handOver.look(rules)
      this.#reports.say(
        'other proxies',
        this.#others.problems.map(({ sentence }) => sentence),
      )
    } catch (error) {
      this.#reports.say('other proxies', [
        `whether another proxy serves Services on this node cannot be seen: ${error instanceof Error ? error.message : String(error)}`,
      ])
    }
    if (this.#handOver !== undefined && rules.families.length === 0) this.#handedOver.abort()
  }

  async #lookForOrphans(): Promise<void> {
    const { services, slices } = this.#snapshots()
    await this.#orphans.look(services, slices, Date.now())
    this.#reports.say(
      'slices',
      this.#orphans.problems.map(({ sentence }) => sentence),
    )
  }

  #snapshots(): ProxySnapshots {
    return { services: this.services.snapshot, slices: this.slices.snapshot }
  }

  /** Those families that the node has addresses of: tables of another would be looked at for ever and never asked. */
  #open(node: ClusterNode): Services {
    const families = this.#handOver?.families ?? [
      ...new Set([...node.podCidrs.map(({ family }) => family), ...node.internalAddresses.map(familyOf)]),
    ]
    const { stateDir } = this.#parts.live.current
    return new Services({ ...this.#parts, families, stateDir, observe: this.#status })
  }

  /** @throws {ReportedError} where the rules cannot be read */
  async #repaired(): Promise<readonly string[]> {
    try {
      const repaired = await this.#rules?.audit()
      this.#reports.say('service drift', [])
      return repaired ?? []
    } catch (error) {
      const sentence = `service rules could not be read, so changes by other programs stay: ${error instanceof Error ? error.message : String(error)}`
      this.#reports.say('service drift', [sentence])
      throw new ReportedError(sentence, { cause: error })
    }
  }

  #failed(error: unknown): void {
    if (error instanceof ReportedError) return
    this.#reports.say('service rules', [
      `service rules could not be written, trying again: ${error instanceof Error ? error.message : String(error)}`,
    ])
    this.#parts.log.debug({ err: error }, 'a sync of service rules failed')
  }

  /** The rules of the agent before this one work until the first sync, whatever a kube-proxy does meanwhile. */
  async #begin(): Promise<void> {
    const { kernel, iptables, log } = this.#parts
    try {
      await this.#others.begin()
      for (const family of [4, 6] as const)
        if ((await ownerOf(iptables, family)) === 'fairlead') await raiseStandby(kernel, iptables, family)
    } catch (error) {
      log.debug({ err: error }, 'cannot look for other proxies and for service rules of an earlier run')
    }
  }

  async #renewStandby(): Promise<void> {
    const { kernel, log } = this.#parts
    try {
      for (const family of [4, 6] as const) await renewStandby(kernel, family)
    } catch (error) {
      log.debug({ err: error }, 'cannot renew the second jumps to Services')
    }
  }

  async #remove(): Promise<void> {
    const { kernel, iptables, log } = this.#parts
    try {
      const removed = await new Services({ kernel, iptables, log, families: [4, 6] }).clean()
      if (removed > 0) log.info({ chains: removed }, 'service rules removed: serviceProxy is off')
    } catch (error) {
      log.warn({ err: error }, 'service rules of an earlier run could not be removed; `fairlead cleanup` does it')
    }
  }
}
