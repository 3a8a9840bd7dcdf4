// Steps about nodes that join and leave a running cluster.
import { setTimeout as sleep } from 'node:timers/promises'
import { maxNodes, nodeIndex, type NodeName, nodeNumbered } from '../layout.ts'
import { nodesOf } from '../nodes.ts'
import { retireNode, scaleNodes } from '../up.ts'
import { askAcross } from './across-nodes.ts'
import { stateForPeer } from './exhibits.ts'
import type { Step } from './step.ts'
import { nodeOf, type Tour } from './tour.ts'

/** ms within which other nodes must remove their state for a node that left. */
const removalLimitMs = 2000
/** ms that the step waits for it nevertheless, to report how long it took. */
const removalTimeoutMs = 15_000

export const nodeAdded: Step = {
  title: 'A node joins, and its pods are reached',
  async run(tour) {
    const count = Math.max(...nodesOf(tour.lab).map(nodeIndex)) + 1
    if (count > maxNodes) throw new Error(`the lab has ${maxNodes} nodes, which is the maximum: no other can join`)
    const node = nodeNumbered(count)
    tour.addedNode = node
    await scaleNodes(tour.lab, count, () => undefined)
    const server = await tour.createPod('tour-guest', node)
    const evidence = await askAcross(tour, tour.pod('tour-a'), server)
    return { ...evidence, tried: `${node} joins; ${evidence.tried}` }
  },
}

export const nodeRemoved: Step = {
  title: 'A node leaves, and the state that led to it is removed',
  async run(tour) {
    const { addedNode: leaving } = tour
    if (leaving === undefined) throw new Error('no node has joined that could leave')
    const watcher = nodeOf(tour.pod('tour-a'))
    const peer = await tour.node(leaving)
    const before = await stateForPeer(tour, watcher, peer)
    const deletedAt = Date.now()
    const removedAfterMs = await tour.api
      .request('DELETE', `/api/v1/nodes/${leaving}`)
      .then(async () => await timeUntilRemoved(tour, watcher, peer, deletedAt))
    await retireNode(tour.lab, leaving, tour.api, () => undefined)
    tour.addedNode = undefined
    const after = await stateForPeer(tour, watcher, peer)
    return {
      ok: removedAfterMs !== undefined && removedAfterMs <= removalLimitMs,
      tried:
        `Node ${leaving} (${peer.podCidr}) is deleted, ` +
        `and ${watcher} is checked repeatedly for state that leads to it`,
      happened:
        removedAfterMs === undefined
          ? `it was still there after ${removalTimeoutMs} ms`
          : `route, neighbour and FDB entry were gone after ${removedAfterMs} ms`,
      exhibits: [...before, ...after],
    }
  },
}

async function timeUntilRemoved(
  tour: Tour,
  watcher: NodeName,
  peer: { podCidr: string; address: string },
  since: number,
): Promise<number | undefined> {
  const [network = ''] = peer.podCidr.split('/')
  const commands = [
    `ip route show ${peer.podCidr}`,
    `ip neighbour show ${network}`,
    `bridge fdb show | grep -F "dst ${peer.address} " || true`,
  ]
  while (Date.now() - since < removalTimeoutMs) {
    if ((await tour.run(watcher, ['sh', '-c', commands.join('; ')])).trim() === '') return Date.now() - since
    await sleep(20)
  }
  return undefined
}
