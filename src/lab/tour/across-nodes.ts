// Steps about traffic over the underlay: between pods of two nodes, and from nodes to pods.
import * as z from 'zod'
import { stateForPeer } from './exhibits.ts'
import { allOf, type Evidence, type Step } from './step.ts'
import { describe, nodeOf, type Tour } from './tour.ts'
import type { PodView } from '../views.ts'

export const acrossNodes: Step = {
  title: 'Pod to pod across nodes: through the overlay, without NAT',
  async run(tour) {
    return await askAcross(tour, tour.pod('tour-a'), tour.pod('tour-c'))
  },
}

/** One pod sends requests to a pod of another node. The exhibits show the routes in both directions. */
export async function askAcross(tour: Tour, client: PodView, server: PodView): Promise<Evidence> {
  const [overTcp, overUdp] = [
    await tour.ask(client, server.address, 8080),
    await tour.ask(client, server.address, 8080, 'UDP'),
  ]
  const [from, to] = [nodeOf(client), nodeOf(server)]
  return {
    ok: [overTcp, overUdp].every((answer) => answer.pod === server.name && answer.client === client.address),
    tried: `${describe(client)} asks ${describe(server)} over TCP and UDP`,
    happened: `${overTcp.pod} answered, and saw ${overTcp.client} over TCP and ${overUdp.client} over UDP`,
    exhibits: [
      ...(await stateForPeer(tour, from, await tour.node(to))),
      ...(await stateForPeer(tour, to, await tour.node(from))),
    ],
  }
}

export const nodeToPod: Step = {
  title: 'Node to pod, on its own node and across, without NAT',
  async run(tour) {
    const [local, remote] = [tour.pod('tour-a'), tour.pod('tour-c')]
    return allOf([await askFromNode(tour, local), await askFromNode(tour, remote)])
  },
}

const routeSchema = z.tuple([z.object({ prefsrc: z.string() })])

/** Checks the client address that a pod sees. A node has several; the route to the pod has the expected one. */
async function askFromNode(tour: Tour, server: PodView): Promise<Evidence> {
  const node = nodeOf(tour.pod('tour-a'))
  const [{ prefsrc }] = routeSchema.parse(
    JSON.parse(await tour.run(node, ['ip', '-j', 'route', 'get', server.address])),
  )
  const answer = await tour.ask(node, server.address, 8080)
  return {
    ok: answer.pod === server.name && answer.client === prefsrc,
    tried: `${node} asks ${describe(server)}`,
    happened: `${answer.pod} answered, and saw ${answer.client}`,
    exhibits: [
      await tour.show(node, ['ip', 'route', 'get', server.address], /src/),
      await tour.show(node, ['ip', '-brief', 'address'], new RegExp(prefsrc.replaceAll('.', String.raw`\.`))),
    ],
  }
}
