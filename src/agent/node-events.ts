// What is wrong with a node as its own agent sees it, as Events of the Node object. Sentences hold no number that
// changes from pass to pass: each new one would be another Event.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { EventRegarding } from '../cluster/event.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { Problem } from '../cluster/problem.ts'
import { formatCidr } from '../net/cidr.ts'
import type { LeftOut } from '../overlay/membership.ts'
import type { PoolStatus } from '../pods/ipam.ts'
import { Reports } from '../runtime/reports.ts'
import type { StandingEvents } from './standing-events.ts'

/** Of its addresses in use, a pool is called nearly full. */
const nearlyFull = 0.9

/** @returns a problem for each pool of pod addresses that pods of this node will soon have used up, or have. */
export function poolProblems(node: ClusterNode, pools: readonly PoolStatus[]): Problem[] {
  return pools
    .filter(({ size, used }) => used >= nearlyFull * size)
    .map(({ podCidr, size, used }) => {
      const full = used >= size
      const state = full ? 'No address is' : 'Less than a tenth of the addresses are'
      return {
        sentence: `${state} free in podCIDR ${formatCidr(podCidr)} of node ${node.name}; lower maxPods of its kubelet, or give it a larger podCIDR`,
        reason: full ? 'pool-full' : 'pool-nearly-full',
        event: {
          regarding: regardingNode(node),
          reason: full ? 'PodAddressesExhausted' : 'PodAddressesNearlyExhausted',
          action: 'AllocatePodAddress',
        },
      }
    })
}

/**
 * Makes problems of the nodes that claim what another node has: an address, or a part of its pod network.
 * @param leftOut all that the overlay leaves out; a node that has only just come has no podCIDR yet, and is passed over
 */
export function clashProblems(nodes: ReadonlyMap<string, ClusterNode>, leftOut: readonly LeftOut[]): Problem[] {
  return leftOut.flatMap(({ name, problem }) => {
    const node = nodes.get(name)
    if (node === undefined || node.podCidrs.length === 0 || node.internalAddresses.length === 0) return []
    const event = { regarding: regardingNode(node), reason: 'NodeLeftOut', action: 'ConnectNode', everyNode: true }
    return [{ sentence: problem, reason: 'node-left-out', event }]
  })
}

/**
 * Makes problems of what is not in force on a node as the cluster has it.
 * @param failing sentences: rules that could not be written, and why
 */
export function failureProblems(node: ClusterNode, failing: readonly string[]): Problem[] {
  const event = { regarding: regardingNode(node), reason: 'NetworkNotInForce', action: 'ProgramNode' }
  return failing.map((sentence) => ({ sentence, reason: 'not-in-force', event }))
}

function regardingNode({ name, uid }: ClusterNode): EventRegarding {
  return { apiVersion: 'v1', kind: 'Node', name, uid }
}

export interface NodeReportParts {
  readonly events: StandingEvents
  readonly log: Logger
  readonly nodeName: string
  readonly nodes: () => ReadonlyMap<string, ClusterNode>
  /** Nodes that the overlay leaves out. The log has them from the pass. */
  readonly leftOut: () => readonly LeftOut[]
  /** Host ports that are not published. */
  readonly hostPorts: () => readonly Problem[]
  readonly pools: () => readonly PoolStatus[]
  /** Sentences: what is not in force. The log has them from where they come from. */
  readonly failing: () => readonly string[]
}

const lookEveryMs = 5000

/** Reports what is wrong on this node, wherever it is found: in the log, in the status, and as Events. */
export class NodeReport {
  readonly #parts: NodeReportParts
  readonly #reports: Reports

  constructor(parts: NodeReportParts) {
    this.#parts = parts
    this.#reports = new Reports(parts.log)
  }

  /** What the log has said is wrong, and still is. */
  get problems(): readonly string[] {
    return this.#reports.open
  }

  /** Looks until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const node = this.#parts.nodes().get(this.#parts.nodeName)
      if (node !== undefined) this.#look(node)
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined)
    }
  }

  #look(node: ClusterNode): void {
    const { events, nodes, leftOut, hostPorts, pools, failing } = this.#parts
    for (const [topic, problems] of [
      ['host ports', hostPorts()],
      ['pools', poolProblems(node, pools())],
    ] as const) {
      this.#reports.say(
        topic,
        problems.map(({ sentence }) => sentence),
      )
      events.say(topic, problems)
    }
    events.say('node', [...failureProblems(node, failing()), ...clashProblems(nodes(), leftOut())])
  }
}
