// Steps about the edge of the cluster: pods that connect to the outside, and outside clients that connect to pods.
import { underlay, outsidePort } from '../layout.ts'
import { connections, natRules } from './exhibits.ts'
import type { Step } from './step.ts'
import { describe, nodeOf } from './tour.ts'

export const tourHostPort = 18_080

export const podToOutside: Step = {
  title: "Pod to outside: masqueraded with its node's address",
  async run(tour) {
    const client = tour.pod('tour-a')
    const node = nodeOf(client)
    const { address } = await tour.node(node)
    const answer = await tour.ask(client, underlay.outside, outsidePort)
    return {
      ok: answer.pod === 'outside' && answer.client === address,
      tried: `${describe(client)} asks the server outside (${underlay.outside})`,
      happened: `it answered, and saw ${answer.client}`,
      exhibits: [
        await natRules(tour, node, /MASQUERADE|FAIRLEAD-.*-[sd] /),
        await connections(tour, node, ['-p', 'tcp', '--orig-src', client.address, '--orig-dst', underlay.outside]),
      ],
    }
  },
}

export const hostPort: Step = {
  title: "Outside to a pod through its node's host port: the client's address is kept",
  async run(tour) {
    const server = tour.pod('tour-host')
    const node = nodeOf(server)
    const { address } = await tour.node(node)
    const answer = await tour.ask('outside', address, tourHostPort)
    return {
      ok: answer.pod === server.name && answer.client === underlay.outside,
      tried:
        `the client outside (${underlay.outside}) asks ${address}:${tourHostPort}, ` +
        `a host port of ${describe(server)}`,
      happened: `${answer.pod} answered, and saw ${answer.client}`,
      exhibits: [
        await natRules(
          tour,
          node,
          new RegExp(`${tourHostPort}|${server.address.replaceAll('.', String.raw`\.`)}:8080`),
        ),
        await connections(tour, node, ['-p', 'tcp', '--orig-src', underlay.outside, '--orig-dst', address]),
      ],
    }
  },
}
