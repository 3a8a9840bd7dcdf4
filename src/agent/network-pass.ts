// One full pass over the node's network: from the Node objects to the kernel, room by room, in the order that packets need.
import type { Logger } from 'pino'
import type { ClusterNode } from '../cluster/node.ts'
import type { Change } from '../kernel/change.ts'
import type { Failure } from '../kernel/kernel.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Overlay, OverlayResult } from '../overlay/overlay.ts'
import { conflist, competingConfigs, installConflist } from '../pods/cni/conflist.ts'
import type { PodNetwork } from '../pods/pod-network.ts'
import type { PodRules } from '../pods/rules/rules.ts'
import type { AgentConfig } from './config.ts'
import type { Metrics } from './metrics.ts'
import { Reports } from './reports.ts'

export interface Rooms {
  readonly overlay: Overlay
  readonly podNetwork: PodNetwork
  readonly rules: PodRules
}

export class NetworkPass {
  readonly #config: AgentConfig
  readonly #rooms: Rooms
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #reports: Reports
  /** What still keeps pods from being served; empty once the first pass has gone through. */
  missing: readonly string[] = ['the first pass over the network']
  peers = 0

  constructor(parts: { config: AgentConfig; rooms: Rooms; metrics: Metrics; log: Logger }) {
    this.#config = parts.config
    this.#rooms = parts.rooms
    this.#metrics = parts.metrics
    this.#log = parts.log
    this.#reports = new Reports(parts.log)
  }

  /** @param nodes all Nodes of the cluster, own one included. */
  async run(nodes: readonly ClusterNode[]): Promise<void> {
    const own = nodes.find((node) => node.name === this.#config.nodeName)
    if (own === undefined || own.podCidrs.length === 0) {
      // Nothing is removed either: a Node object that is missing for a moment must not cost a running pod its network.
      const what = own === undefined ? `Node ${this.#config.nodeName} is not known to the API server` : `Node ${own.name} has no podCIDR yet: the controller manager assigns one when started with --allocate-node-cidrs`
      this.#reports.say('network', [what])
      if (this.missing.length > 0) this.missing = [what]
      return
    }
    const overlay = await this.#overlay(own, nodes)
    if (!overlay.ready && this.missing.length > 0) {
      // Pods that start now would have the wrong MTU and reach no one; those that already run lose nothing by the passes that follow.
      this.missing = overlay.problems
      return
    }
    await this.#pods(own, overlay.podMtu)
    await this.#rules(own, nodes)
    await this.#announce()
    this.missing = []
  }

  async #overlay(own: ClusterNode, nodes: readonly ClusterNode[]): Promise<OverlayResult> {
    const { nodeName, overlay: mode, vni, vxlanPort: port, vxlanDevice: device, mtu } = this.#config
    const families = [...new Set(own.podCidrs.map(({ family }) => family))]
    const result = await this.#timed('overlay', () => this.#rooms.overlay.reconcile({ nodeName, mode, vni, port, device, mtu, families }, nodes))
    this.#reports.say('overlay', result.problems)
    this.#account('overlay', result)
    this.peers = result.peers
    return result
  }

  async #pods(own: ClusterNode, mtu: number): Promise<void> {
    const { bridge, localhostHostPorts, takeOver } = this.#config
    const { podNetwork } = this.#rooms
    await podNetwork.configure({ nodeName: own.name, podCidrs: own.podCidrs, mtu, bridge, localhostHostPorts, takeOver })
    this.#account('pods', await this.#timed('pods', () => podNetwork.reconcile()))
  }

  async #rules(own: ClusterNode, nodes: readonly ClusterNode[]): Promise<void> {
    const { bridge, localhostHostPorts, masquerade, nonMasqueradeCIDRs } = this.#config
    const podNetworks: readonly Cidr[] = nodes.flatMap((node) => node.podCidrs)
    this.#rooms.rules.configure({ localPodCidrs: own.podCidrs, podNetworks, nonMasqueradeCidrs: nonMasqueradeCIDRs, bridge, masquerade, localhostHostPorts })
    const { repaired } = await this.#timed('rules', () => this.#rooms.rules.reconcile([...this.#rooms.podNetwork.attachments.values()]))
    this.#metrics.reconcileChanges.inc({ room: 'rules', kind: 'chain' }, repaired)
  }

  /** Last: from here on the runtime sends us pods. */
  async #announce(): Promise<void> {
    const { cniConfDir, takeOver } = this.#config
    if ((await installConflist(cniConfDir, conflist())) === 'written') this.#log.info({ directory: cniConfDir }, 'ready: CNI configuration written')
    const competitors = await competingConfigs(cniConfDir)
    this.#reports.say('conflist', competitors.map((file) => `${cniConfDir}/${file} comes before our CNI configuration, so the runtime uses it: remove it${takeOver ? '' : ' or set takeOver'}`))
  }

  #account(room: string, result: { changes: readonly Change[]; failures: readonly Failure[] }): void {
    for (const { kind, tool, line } of result.changes) {
      this.#metrics.reconcileChanges.inc({ room, kind })
      this.#log.info({ room, command: `${tool} ${line}` }, 'repaired')
    }
    for (const { change, error } of result.failures) {
      this.#metrics.reconcileFailures.inc({ room, kind: change.kind })
      this.#log.warn({ room, command: error.command, stderr: error.stderr }, `${change.object} could not be set; it is tried again`)
    }
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
