// One full pass over the node's network: from the Node objects to the kernel, room by room, in the order that packets
// need.
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { ClusterNode } from '../cluster/node.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import { CommandError } from '../kernel/command-error.ts'
import type { Iptables } from '../iptables/iptables.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Cidr } from '../net/cidr.ts'
import type { ChecksumOffload } from '../overlay/checksum-offload.ts'
import type { LeftOut } from '../overlay/membership.ts'
import type { Overlay, OverlayResult } from '../overlay/overlay.ts'
import { BridgeConflictError } from '../pods/bridge/diff.ts'
import { PodCidrError } from '../pods/ipam.ts'
import type { PodNetwork } from '../pods/pod-network.ts'
import type { PodRules } from '../pods/rules/rules.ts'
import { announce } from './announcement.ts'
import type { AgentConfig } from './config.ts'
import type { LiveConfig } from './live-config.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { failureSentence, PassAccount } from './pass-account.ts'
import { removePodNetwork, retreat } from './pod-network-removal.ts'
import type { Repairs } from '../runtime/repairs.ts'
import { Reports } from '../runtime/reports.ts'

export interface Rooms {
  readonly overlay: Overlay
  readonly podNetwork: PodNetwork
  readonly rules: PodRules
}

/** Up to so many the interval is as configured; with more it grows, so that idle passes cost the same. */
const ordinaryPeers = 250
/** So many times as long as it took to read all rules, nobody reads them again where nothing tells of a change. */
const restPerCost = 1000
const longestRestMs = 3_600_000

export class NetworkPass {
  readonly #live: LiveConfig
  readonly #kernel: Kernel
  readonly #iptables: Iptables
  readonly #rooms: Rooms
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #reports: Reports
  readonly #policiesWaitFor: () => string | undefined
  readonly #checksumOffload: () => ChecksumOffload
  readonly #needed: () => ProtectedPorts
  readonly #staleNodes: () => ReadonlySet<string>
  readonly #account: PassAccount
  /** What the last pass that went through had before it; undefined before one has. */
  #settled:
    | {
        readonly config: AgentConfig
        readonly nodes: readonly ClusterNode[]
        readonly stale: ReadonlySet<string>
      }
    | undefined
  /** Whether this pass has the same: then what it finds to change is another's doing. */
  #again = false
  /**
   * The settings, as text, by which all rules were last read, when (ms, performance.now), how long it took (ms), and
   * how often others had written before.
   */
  #rulesRead: { known: string; at: number; cost: number; writes: number | undefined } = {
    known: '',
    at: -Infinity,
    cost: 0,
    writes: undefined,
  }
  /** What still keeps pods from being served; empty once the first pass has gone through. */
  missing: readonly string[] = ['the first pass over the network']
  peers = 0
  /** Nodes that the overlay leaves out. */
  leftOut: readonly LeftOut[] = []
  /** ms since the epoch: when a pass last went through. */
  passedAt: number | undefined

  constructor(parts: {
    live: LiveConfig
    kernel: Kernel
    iptables: Iptables
    rooms: Rooms
    policiesWaitFor: () => string | undefined
    checksumOffload: () => ChecksumOffload
    needed: () => ProtectedPorts
    /** Names of nodes whose last heartbeat is long before that of others. */
    staleNodes: () => ReadonlySet<string>
    repairs: Repairs
    metrics: Metrics
    log: Logger
  }) {
    this.#live = parts.live
    this.#kernel = parts.kernel
    this.#iptables = parts.iptables
    this.#rooms = parts.rooms
    this.#policiesWaitFor = parts.policiesWaitFor
    this.#checksumOffload = parts.checksumOffload
    this.#needed = parts.needed
    this.#staleNodes = parts.staleNodes
    this.#metrics = parts.metrics
    this.#log = parts.log
    this.#reports = new Reports(parts.log)
    this.#account = new PassAccount({ ...parts, reports: this.#reports })
  }

  get #config(): AgentConfig {
    return this.#live.current
  }

  /** What the log has said is wrong, and still is. */
  get problems(): readonly string[] {
    return this.#reports.open
  }

  /** Why the network is not as it should be: passes fail, or there is no bridge for pods. Empty when it is. */
  get failing(): readonly string[] {
    return [...this.#reports.about('pass'), ...this.#reports.about('pods')]
  }

  /** ms since the epoch: when a pass last had something to put right. */
  get changedAt(): number | undefined {
    return this.#account.changedAt
  }

  /** ms from a pass to the next where nothing asks for one sooner: a pass reads three entries a peer. */
  get intervalMs(): number {
    return this.#config.resyncSeconds * 1000 * Math.max(1, this.peers / ordinaryPeers)
  }

  /**
   * @param nodes all Nodes of the cluster, own one included.
   * @throws what kept the pass from its end; that has been reported then.
   */
  async run(nodes: readonly ClusterNode[]): Promise<void> {
    const config = this.#config
    const stale = this.#staleNodes()
    this.#again =
      this.#settled?.config === config &&
      isDeepStrictEqual(this.#settled.stale, stale) &&
      this.#settled.nodes.length === nodes.length &&
      nodes.every((node, i) => node === this.#settled?.nodes[i])
    try {
      await this.#run(nodes, stale)
      this.#settled = { config, nodes, stale }
      this.passedAt = Date.now()
      this.#reports.say('pass', [])
    } catch (error) {
      const sentence = `A pass over the network failed and is tried again: ${error instanceof Error ? error.message : String(error)}`
      this.#reports.say('pass', [sentence])
      this.#wait([sentence])
      throw error
    }
  }

  async #run(nodes: readonly ClusterNode[], stale: ReadonlySet<string>): Promise<void> {
    if (!this.#config.podNetwork && (await this.#retreat())) return
    const own = nodes.find((node) => node.name === this.#config.nodeName)
    if (own === undefined || own.podCidrs.length === 0) {
      // Nothing is removed either: a Node object that is missing for a moment must not cost a running pod its network.
      const what =
        own === undefined
          ? `Node ${this.#config.nodeName} is not known to the API server`
          : `Node ${own.name} has no podCIDR yet: the controller manager assigns one when started with --allocate-node-cidrs`
      this.#reports.say('node', [what])
      this.#wait([what])
      return
    }
    this.#reports.say('node', [])
    const overlay = await this.#overlay(own, nodes, stale)
    if (!overlay.ready && this.missing.length > 0) {
      // Pods that start now would have the wrong MTU and reach no one; those that already run lose nothing by the
      // passes that follow.
      this.#wait([...overlay.problems, ...overlay.failures.map(failureSentence)])
      return
    }
    const problem = await this.#pods(own, overlay.podMtu)
    this.#reports.say('pods', problem === undefined ? [] : [problem])
    if (problem !== undefined) this.#wait([problem])
    await this.#rules(own, nodes)
    if (problem !== undefined) return
    const unknown = this.#policiesWaitFor()
    if (unknown !== undefined) return this.#wait([unknown])
    if (this.#config.podNetwork) this.#reports.say('conflist', await announce(this.#config, this.#log))
    this.missing = []
  }

  /** @returns whether nothing of the pod network is left to look after. */
  async #retreat(): Promise<boolean> {
    const { cniConfDir } = this.#config
    const { over, withdrawn, waitsFor } = await retreat(cniConfDir, this.#rooms.podNetwork.attachments.size)
    if (withdrawn) this.#log.info({ directory: cniConfDir }, 'podNetwork is off: CNI configuration removed')
    this.#reports.say('pod network', waitsFor === undefined ? [] : [waitsFor])
    if (!over) return false
    const removed = await removePodNetwork(this.#kernel, this.#rooms.rules)
    this.#account.note('pod network', removed, this.#again)
    this.#reports.say('what stays of the pod network', removed.kept)
    this.#rooms.podNetwork.waitFor('podNetwork is off: pods of this node get their network from another CNI plugin')
    this.missing = []
    return true
  }

  /**
   * Before the first pass has gone through, the runtime hears why; after it pods are served whatever a later pass
   * meets.
   */
  #wait(reasons: readonly string[]): void {
    if (this.missing.length === 0) return
    this.missing = reasons
    this.#rooms.podNetwork.waitFor(reasons.join('; '))
  }

  /** Whether what no event tells of is as the last pass left it. */
  async intact(): Promise<boolean> {
    try {
      return await this.#rooms.rules.intact()
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      // A pass meets the same failure, and tells of it.
      return false
    }
  }

  async #overlay(own: ClusterNode, nodes: readonly ClusterNode[], stale: ReadonlySet<string>): Promise<OverlayResult> {
    const { nodeName, overlay: mode, vni, vxlanPort: port, vxlanDevice: device, mtu } = this.#config
    const checksumOffload = this.#checksumOffload()
    const families = [...new Set(own.podCidrs.map(({ family }) => family))]
    const result = await this.#timed('overlay', () =>
      this.#rooms.overlay.reconcile(
        { nodeName, mode, vni, port, device, checksumOffload, mtu, families },
        nodes,
        stale,
      ),
    )
    this.#reports.say('overlay', result.problems)
    this.#account.note('overlay', result, this.#again)
    this.peers = result.peers
    this.leftOut = result.leftOut
    return result
  }

  /** @returns what only a person can put right, in a sentence; pods that run lose nothing by it. */
  async #pods(own: ClusterNode, mtu: number): Promise<string | undefined> {
    const { bridge, localhostHostPorts, takeOver } = this.#config
    const { podNetwork } = this.#rooms
    try {
      await podNetwork.configure({
        nodeName: own.name,
        podCidrs: own.podCidrs,
        mtu,
        bridge,
        localhostHostPorts,
        takeOver,
      })
      const result = await this.#timed('pods', () => podNetwork.reconcile())
      this.#account.note('pods', result, this.#again)
      this.#reports.say(
        'pod settings',
        result.problems.filter((sentence) => sentence !== result.blocked),
      )
      return result.blocked === undefined ? undefined : `bridge ${bridge} is not ready: ${result.blocked}`
    } catch (error) {
      if (error instanceof BridgeConflictError || error instanceof PodCidrError) return error.message
      throw error
    }
  }

  async #rules(own: ClusterNode, nodes: readonly ClusterNode[]): Promise<void> {
    const { bridge, localhostHostPorts, masquerade, nonMasqueradeCIDRs } = this.#config
    const podNetworks: readonly Cidr[] = nodes.flatMap((node) => node.podCidrs)
    const settings = {
      localPodCidrs: own.podCidrs,
      podNetworks,
      nonMasqueradeCidrs: nonMasqueradeCIDRs,
      bridge,
      masquerade,
      localhostHostPorts,
      needed: this.#needed(),
    }
    const known = JSON.stringify(settings)
    // Links come and go with every pod; the rules change with the nodes, and host ports with their own pods.
    const writes = await this.#iptables.foreignWrites()
    if (known === this.#rulesRead.known && !this.#mayHaveChanged(writes) && (await this.intact())) return
    this.#rooms.rules.configure(settings)
    const begin = performance.now()
    const { repaired } = await this.#timed('rules', () =>
      this.#rooms.rules.reconcile([...this.#rooms.podNetwork.attachments.values()]),
    )
    this.#account.noteRules(repaired)
    const at = performance.now()
    this.#rulesRead = { known, at, cost: at - begin, writes }
  }

  /**
   * Whether all rules are to be read: each interval, where others have written since; and now and then, since legacy
   * does not tell of every write, and reads a whole table for each chain.
   */
  #mayHaveChanged(writes: number | undefined): boolean {
    const { at, cost, writes: before } = this.#rulesRead
    const rest = performance.now() - at
    if (rest < this.#config.resyncSeconds * 1000) return false
    return writes === undefined || writes !== before || rest >= Math.min(cost * restPerCost, longestRestMs)
  }

  async #timed<T>(room: string, work: () => Promise<T>): Promise<T> {
    const end = this.#metrics.reconcileSeconds.startTimer({ room })
    try {
      return await work()
    } finally {
      end()
    }
  }
}
