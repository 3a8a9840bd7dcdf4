// The overlay: how a packet gets from a pod here to a pod on another node.
//
// Over VXLAN, from pod 10.244.1.7 on node A (192.168.0.21) to pod 10.244.2.9 on node B (192.168.0.22):
// 1. The pod's default route leads over cni0 to A, which forwards by `10.244.2.0/24 via 10.244.2.0 dev fairlead.1
//   onlink`.
// 2. The gateway 10.244.2.0 is B's VTEP. A permanent neighbour says its MAC, 02:58:0a:f4:02:00, so nobody asks by ARP.
// 3. fairlead.1's forwarding database says that this MAC is at 192.168.0.22. The frame is put into UDP to that address,
//   port 8472,
//      VNI 1, and leaves by the uplink like any packet of A's own.
// 4. B's kernel takes it out. The MAC is that of B's own fairlead.1, so the inner packet is routed, to cni0 and the
//   pod.
// Traffic of A itself to that pod goes the same way and carries A's VTEP address 10.244.1.0, the only one fairlead.1
// has, so that the answer comes back through the tunnel.
//
// Each peer thus costs one neighbour, one FDB entry and one route; a second address family adds a neighbour and a
// route. MAC and VTEP address follow from the podCIDR, so Node objects are all the input there is and nothing is ever
// written to the API.
//
// Direct: for a peer on the same link one route `10.244.2.0/24 via 192.168.0.22 dev eth0` is all; packets travel as the
// pods sent them.
//
// In mode auto each node decides for itself and per peer. The device stays, even if nobody is behind it now: a peer
// whose netmask makes it choose otherwise still reaches us, and a node that joins elsewhere costs three entries and no
// new link.
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { ClusterNode } from '../cluster/node.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Link } from '../kernel/observed.ts'
import { type Applied, applyOverlay } from './apply.ts'
import { settleChecksumOffload } from './checksum-offload.ts'
import { isOurs } from './conflict.ts'
import { type DesiredOverlay, desiredOverlay } from './desired.ts'
import { inForceIn } from './in-force.ts'
import type { LeftOut } from './membership.ts'
import { type ObservedOverlay, observeOverlay } from './observe.ts'
import type { OverlaySettings } from './settings.ts'

export interface OverlayResult extends Applied {
  /**
   * Bytes. While this node's own part is not known: as it was, or the device's, or 1280, which any IPv6 path carries.
   */
  readonly podMtu: number
  /** Other nodes whose pods are reached. */
  readonly peers: number
  /** Nodes that are left out, this one perhaps among them. */
  readonly leftOut: readonly LeftOut[]
}

/**
 * Keeps the kernel as the nodes say. It remembers nothing of the kernel: each pass looks at all there is and changes
 * what differs.
 */
export class Overlay {
  readonly #kernel: Kernel
  readonly #log: Logger
  /** Settled when the last pass asked for is over: passes never overlap. */
  #last: Promise<unknown> = Promise.resolve()
  /** For passes that find this node's own part unknown. */
  #known: { podMtu: number; peers: number } | undefined
  /**
   * What was last derived, and from what: of a thousand nodes that costs more than the look, and as a rule nothing has
   * changed.
   */
  #derived:
    | {
        settings: OverlaySettings
        nodes: readonly ClusterNode[]
        links: readonly Link[]
        stale: ReadonlySet<string>
        desired: DesiredOverlay
      }
    | undefined

  constructor({ kernel, log }: { kernel: Kernel; log: Logger }) {
    this.#kernel = kernel
    this.#log = log
  }

  /**
   * @param stale names of nodes whose last heartbeat is long before that of others
   * @throws {CommandError} when the kernel cannot be read; what it refuses to change is in `failures`.
   */
  reconcile(
    settings: OverlaySettings,
    nodes: readonly ClusterNode[],
    stale: ReadonlySet<string> = new Set(),
  ): Promise<OverlayResult> {
    const pass = this.#last.then(() => this.#pass(settings, nodes, stale))
    this.#last = pass.catch(() => undefined)
    return pass
  }

  async #pass(
    settings: OverlaySettings,
    nodes: readonly ClusterNode[],
    stale: ReadonlySet<string>,
  ): Promise<OverlayResult> {
    const observed = await observeOverlay(this.#kernel, settings.device)
    const { state, problems, leftOut } = this.#desired(settings, nodes, stale, observed)
    if (state === undefined) {
      const device = observed.links.find((link) => isOurs(link, settings.device))
      return {
        changes: [],
        failures: [],
        problems,
        leftOut,
        podMtu: this.#known?.podMtu ?? device?.mtu ?? 1280,
        peers: this.#known?.peers ?? 0,
        ready: false,
      }
    }
    this.#known = { podMtu: state.podMtu, peers: state.peers }
    const applied = await applyOverlay(this.#kernel, settings.device, state, observed)
    const link = observed.links.find((link) => isOurs(link, settings.device))
    const offload =
      applied.ready && state.device !== undefined
        ? await settleChecksumOffload(
            { kernel: this.#kernel, log: this.#log },
            settings.device,
            settings.checksumOffload,
            link,
          )
        : []
    this.#log.debug(
      { changes: applied.changes.length, failures: applied.failures.length, ...this.#known },
      'overlay pass',
    )
    return { ...applied, ...this.#known, leftOut, problems: [...problems, ...applied.problems, ...offload] }
  }

  #desired(
    settings: OverlaySettings,
    nodes: readonly ClusterNode[],
    stale: ReadonlySet<string>,
    observed: ObservedOverlay,
  ): DesiredOverlay {
    const { links } = observed
    const last = this.#derived
    const same =
      last !== undefined &&
      !last.desired.contested &&
      nodes.length === last.nodes.length &&
      nodes.every((node, i) => node === last.nodes[i]) &&
      isDeepStrictEqual([settings, links, stale], [last.settings, last.links, last.stale])
    if (same) return last.desired
    const inForce = inForceIn(observed, settings.nodeName)
    const desired = desiredOverlay(settings, nodes, links, { stale, inForce })
    this.#derived = { settings, nodes, links, stale, desired }
    return desired
  }
}
