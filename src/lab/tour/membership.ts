// Nodes that come and go while the cluster runs.
import { setTimeout as sleep } from 'node:timers/promises'
import { maxNodes, nodeIndex, type NodeName, nodeNumbered } from '../layout.ts'
import { nodesOf } from '../nodes.ts'
import { retireNode, scaleNodes } from '../up.ts'
import { askAcross } from './across-nodes.ts'
import { wayToPeer } from './exhibits.ts'
import type { Step } from './step.ts'
import { nodeOf, type Tour } from './tour.ts'

/** A node that leaves is to be forgotten within this. */
const forgottenWithinMs = 2000
/** How long the tour looks for it all the same, to say how long it took. */
const lookedForMs = 15_000

export const nodeAdded: Step = {
  title: 'A node joins, and its pods are reached',
  async run(tour) {
    const count = Math.max(...nodesOf(tour.lab).map(nodeIndex)) + 1
    if (count > maxNodes) throw new Error(`the lab has ${maxNodes} nodes already: no other can join`)
    const node = nodeNumbered(count)
    tour.guest = node
    await scaleNodes(tour.lab, count, () => undefined)
    const server = await tour.createPod('tour-guest', node)
    const evidence = await askAcross(tour, tour.pod('tour-a'), server)
    return { ...evidence, tried: `${node} joins; ${evidence.tried}` }
  },
}

export const nodeRemoved: Step = {
  title: 'A node leaves, and what led to it goes',
  async run(tour) {
    const { guest } = tour
    if (guest === undefined) throw new Error('no node has joined that could leave')
    const watcher = nodeOf(tour.pod('tour-a'))
    const peer = await tour.node(guest)
    const before = await wayToPeer(tour, watcher, peer)
    const left = Date.now()
    const gone = await tour.api
      .request('DELETE', `/api/v1/nodes/${guest}`)
      .then(async () => await timeUntilForgotten(tour, watcher, peer, left))
    await retireNode(tour.lab, guest, tour.api, () => undefined)
    tour.guest = undefined
    const after = await wayToPeer(tour, watcher, peer)
    return {
      ok: gone !== undefined && gone <= forgottenWithinMs,
      tried: `Node ${guest} (${peer.podCidr}) is deleted; what ${watcher} holds for it is looked at again and again`,
      happened:
        gone === undefined
          ? `it was still there after ${lookedForMs} ms`
          : `route, neighbour and FDB entry were gone after ${gone} ms`,
      exhibits: [...before, ...after],
    }
  },
}

async function timeUntilForgotten(
  tour: Tour,
  watcher: NodeName,
  peer: { podCidr: string; address: string },
  since: number,
): Promise<number | undefined> {
  const [network = ''] = peer.podCidr.split('/')
  const look = `ip route show ${peer.podCidr}; ip neighbour show ${network}; bridge fdb show | grep -F "dst ${peer.address} " || true`
  while (Date.now() - since < lookedForMs) {
    if ((await tour.run(watcher, ['sh', '-c', look])).trim() === '') return Date.now() - since
    await sleep(20)
  }
  return undefined
}
