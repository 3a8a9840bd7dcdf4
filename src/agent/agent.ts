// The composition root: what the agent is made of, top to bottom, and how it stops. Stopping leaves the dataplane as it
// is, so that an upgrade drops no connection; `fairlead cleanup` is what removes it.
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { connectInCluster } from '../cluster/connect-in-cluster.ts'
import { EventRecorder } from '../cluster/event-recorder.ts'
import { projectPod, samePod } from '../cluster/project-pod.ts'
import { Reflector } from '../cluster/reflector.ts'
import type { ServerCandidate } from '../cluster/server-candidates.ts'
import { legacyTables } from '../iptables/legacy-tables.ts'
import { openIptables } from '../iptables/linux-iptables.ts'
import { openKernel } from '../kernel/linux-kernel.ts'
import { observeChecksumOffload } from '../overlay/checksum-offload.ts'
import { Overlay } from '../overlay/overlay.ts'
import { PodBandwidth } from '../pods/bandwidth.ts'
import { PodNetwork } from '../pods/pod-network.ts'
import { PodRules } from '../pods/rules/rules.ts'
import { capabilityProblems } from '../host/capabilities.ts'
import { ChecksumWatch } from './checksum-watch.ts'
import { serveCni } from './cni-socket.ts'
import { type AgentConfig, ConfigError } from './config.ts'
import { publishGauges } from './gauges.ts'
import { followNodes } from './followed-nodes.ts'
import { healthHandler } from './health.ts'
import { reportLeftovers } from '../host/leftovers.ts'
import { parseListenAddress } from '../runtime/http-listener.ts'
import { listenAfterKubeProxy } from './listen-after-kube-proxy.ts'
import { LiveConfig } from './live-config.ts'
import { lookUp } from './lookup.ts'
import { Metrics } from '../runtime/metrics.ts'
import { NetworkPass } from './network-pass.ts'
import { NetworkUnavailable } from './network-unavailable.ts'
import { NodeReport } from './node-events.ts'
import { NodeGuard } from './node-guard.ts'
import { NodeLock } from '../host/node-lock.ts'
import { openLog } from './open-log.ts'
import { OtherProxy } from './other-proxy.ts'
import { patrol } from './patrol.ts'
import { podSideOptions, podsOn } from './pod-side.ts'
import { PolicyEnforcer } from './policy-enforcer.ts'
import { PolicyGate } from './policy-gate.ts'
import { probeHandler } from './probe.ts'
import { ProxyMetrics } from './proxy-metrics.ts'
import { steadyClock } from '../runtime/clock.ts'
import { Loop } from '../runtime/loop.ts'
import { Repairs } from '../runtime/repairs.ts'
import { serviceBlocks } from './service-blocks.ts'
import { ServiceProxy } from './service-proxy.ts'
import { saveMemoryAfterStart } from './small-heap.ts'
import { failures, notReady, type Sources } from './sources.ts'
import { StandingEvents } from './standing-events.ts'
import { guardState } from './state-guard.ts'
import { describeAgent } from './status.ts'

export interface AgentStart {
  readonly config: AgentConfig
  /** Reads it anew, for changes. @throws {ConfigError} */
  readonly load: () => AgentConfig
  /** The file that it was read from. */
  readonly file: string | undefined
}

/**
 * Runs until the signal.
 * @throws when the agent can't start: another one runs, a tool is missing, an address is taken.
 */
export async function runAgent({ config, load, file }: AgentStart, signal: AbortSignal): Promise<void> {
  const log = openLog(config)
  const live = new LiveConfig({ config, load, file, log })
  const metrics = new Metrics()
  const proxyMetrics = new ProxyMetrics(metrics)
  const api = await connect(config, log)
  for (const warning of config.warnings) log.warn(warning)

  await mkdir(config.stateDir, { recursive: true, mode: 0o700 })
  await using lock = await NodeLock.take(`${config.stateDir}/lock`)
  await using kernel = openKernel({ log, observe: metrics.commandObserver })
  const iptables = openIptables(kernel, { log })

  const { nodes, stale: staleNodes } = followNodes({ api, log })
  // Policies ask for pods of all nodes.
  const pods = new Reflector({
    api,
    path: '/api/v1/pods',
    ...(config.networkPolicy ? {} : { selector: { field: `spec.nodeName=${config.nodeName}` } }),
    project: projectPod,
    equals: samePod,
    log,
  })

  const lacking = capabilityProblems(readFileSync('/proc/self/status', 'utf8'), [
    ...new Set([...legacyTables(4), ...legacyTables(6)]),
  ])
  for (const sentence of lacking) log.error(sentence)

  const repairs = new Repairs()
  const reporter = { controller: 'fairlead.dev/agent', instance: config.nodeName }
  const recorder = new EventRecorder({ api, reporter, log })
  const events = new StandingEvents(recorder)
  const guard = new NodeGuard({ live, api, iptables, nodes, slices: () => serviceProxy.slices.snapshot.values(), log })
  const rules = new PodRules({ kernel, iptables, log, families: [4, 6] })
  const bandwidth = new PodBandwidth({ kernel, log })
  const podsHere = () => podsOn(config.nodeName, pods)
  const policy = new PolicyEnforcer({
    live,
    api,
    kernel,
    nodes,
    pods,
    attachments: () => {
      podNetwork.namePods(podsHere)
      return podNetwork.attachments.values()
    },
    metrics,
    repairs,
    log,
  })
  const gate = new PolicyGate({ live, enforcer: policy, kernel, server: () => api.server, log })
  const podNetwork: PodNetwork = new PodNetwork({
    kernel,
    stateDir: config.stateDir,
    log,
    hooks: { hostPorts: rules, bandwidth, policy: gate },
    rebuilt: (names) => {
      repairs.note('state', names)
      policy.changed()
    },
    podSide: podSideOptions({ pods, repairs, metrics, log }),
    observe: metrics.observeCni,
    observeRequest: metrics.observeCniRequest,
  })
  const overlay = new Overlay({ kernel, log })
  const checksums = new ChecksumWatch({
    live,
    kernel,
    nodes: () => [...nodes.snapshot.values()].filter(({ name }) => !pass.leftOut.some((node) => node.name === name)),
    ready: () => pass.missing.length === 0,
    apply: () => loop.trigger(),
    log,
  })
  const pass: NetworkPass = new NetworkPass({
    live,
    kernel,
    iptables,
    rooms: { overlay, podNetwork, rules },
    policiesWaitFor: () => gate.waitsFor,
    checksumOffload: () => checksums.wanted,
    needed: guard.needed,
    staleNodes,
    repairs,
    metrics,
    log,
  })
  const networkUnavailable = new NetworkUnavailable({ api, live, log })
  const loop = new Loop({
    clock: steadyClock,
    reconcile: async () => {
      await pass.run([...nodes.snapshot.values()])
      if (live.current.podNetwork && pass.missing.length === 0)
        await networkUnavailable.clear(nodes.snapshot.get(config.nodeName))
    },
    intervalMs: () => pass.intervalMs,
    onError: (error) => log.debug({ err: error }, 'reconcile pass failed'),
  })
  const ownPorts = new Set<number>()
  const serviceProxy: ServiceProxy = new ServiceProxy({
    live,
    api,
    kernel,
    iptables,
    other: new OtherProxy({
      kernel,
      iptables,
      ownPorts,
      configuredPorts: [config.healthAddress, config.metricsAddress].map((address) => parseListenAddress(address).port),
    }),
    nodes,
    metrics: proxyMetrics,
    repairs,
    events,
    needed: guard.needed,
    places: guard.places,
    log,
  })
  const report = new NodeReport({
    events,
    log,
    nodeName: config.nodeName,
    nodes: () => nodes.snapshot,
    leftOut: () => pass.leftOut,
    hostPorts: () => rules.problems,
    pools: () => podNetwork.ipamStatus(),
    failing: () => failures(sources),
  })
  const sources: Sources = {
    lacking,
    rules,
    report,
    repairs,
    nodes,
    pods,
    podNetwork,
    pass,
    policy: config.networkPolicy ? policy : undefined,
    serviceProxy: config.serviceProxy ? serviceProxy : undefined,
    proxies: () => serviceProxy.sentences,
  }
  publishGauges(metrics, sources)

  await podNetwork.start()
  await using socket = await serveCni(
    `${config.stateDir}/cni.sock`,
    {
      handle: (body) => podNetwork.handle(body),
      status: async () =>
        describeAgent(live.current, api.server, {
          ...sources,
          serviceBlocks: await serviceBlocks(api),
          offload: await observeChecksumOffload(kernel, live.current.vxlanDevice),
        }),
      lookup: (of) => of.map((each) => lookUp(each, sources)),
    },
    log,
  )
  const missing = () => (nodes.synced ? notReady(sources) : [`the Nodes have not been read from ${api.server} yet`])
  const listenOptions = { mayWait: config.serviceProxy, ownPorts, log }
  await using _health = await listenAfterKubeProxy(
    config.healthAddress,
    healthHandler({
      missing,
      proxy: serviceProxy.health,
      probe: probeHandler(() => live.current.vxlanDevice),
      answered: (path, code) => proxyMetrics.answered(path, code),
    }),
    listenOptions,
  )
  await using _metrics = await listenAfterKubeProxy(config.metricsAddress, metrics.handler, listenOptions)
  log.info({ overlay: config.overlay, api: api.server }, 'agent started')
  await reportLeftovers(iptables, log)

  live.onChange(() => {
    log.level = live.current.logLevel
    loop.trigger()
  })
  nodes.onChange(() => loop.trigger())
  pods.onChange(() => podNetwork.namePods(podsHere))
  void policy.whenKnown(signal).then(() => loop.trigger())
  kernel.onChange(() => loop.trigger())
  loop.trigger()
  const ending = new AbortController()
  const stop = AbortSignal.any([signal, ending.signal])
  const look = async (): Promise<boolean> =>
    (await guardState({ stateDir: config.stateDir, lock, socket, podNetwork, repairs }, log)) && (await pass.intact())
  const watch = patrol({ look, onDamage: () => loop.trigger(), longestMs: config.resyncSeconds * 1000 }, stop).catch(
    (error: unknown) => {
      // Another agent has the node: nothing of ours may go on.
      ending.abort(error)
      throw error
    },
  )
  await Promise.all([
    nodes.run(stop),
    pods.run(stop),
    afterFirstList(nodes, (until) => loop.run(until), stop),
    afterFirstList(pods, (until) => podNetwork.watchPods(until), stop),
    serviceProxy.run(stop),
    policy.run(stop),
    live.run(stop),
    checksums.run(stop),
    recorder.run(stop),
    guard.run(stop),
    report.run(stop),
    saveMemoryAfterStart(stop),
    watch,
  ])
  log.info({ reason: String(signal.reason) }, 'agent stopped; the dataplane stays')
}

/** @throws {ConfigError} for a kubeconfig that cannot be used, and where there is none outside of a pod. */
async function connect({ kubeconfig, apiServer: server }: AgentConfig, log: Logger): Promise<ApiConnection> {
  const onServer = ({ server: api, source }: ServerCandidate): void =>
    log.info({ api, source }, `the API server is reached at ${api}, an address from ${source}`)
  try {
    if (kubeconfig === undefined) return connectInCluster({ server, onServer })
    // Loaded where it is needed alone: it costs 24 MB.
    const { connectCluster } = await import('../cluster/connect.ts')
    return connectCluster({ kubeconfig, server, onServer })
  } catch (error) {
    throw new ConfigError((error as Error).message, { cause: error })
  }
}

/**
 * Runs once the first list is complete. Nothing is written before the Nodes are known: an empty list would look like a
 * cluster without peers. Nothing in a pod is put back before it is known which pods may change their network.
 */
async function afterFirstList(
  list: Reflector<unknown>,
  run: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await Promise.race([list.whenSynced(), stopped])
  await run(signal)
}
