// Steps about traffic within one node: between containers of a pod, and between pods on the bridge.
import { bridgePorts, podInterfaceOf } from './exhibits.ts'
import type { Step } from './step.ts'
import { describe, nodeOf } from './tour.ts'

export const localhost: Step = {
  title: 'Containers of one pod reach each other over localhost',
  async run(tour) {
    const pod = tour.pod('tour-pair')
    const answers = [await tour.ask(pod, '127.0.0.1', 8080), await tour.ask(pod, '127.0.0.1', 8081)]
    return {
      ok: answers.every(({ pod, client }) => pod === 'tour-pair' && client === '127.0.0.1'),
      tried: `in ${describe(pod)}, requests go to 127.0.0.1:8080 (container one) and 127.0.0.1:8081 (container two)`,
      happened: `both answered, and saw ${answers.map(({ client }) => client).join(' and ')}`,
      exhibits: [await tour.show(pod, ['ip', '-brief', 'address']), await tour.show(pod, ['ss', '-Htln'])],
    }
  },
}

export const sameNode: Step = {
  title: 'Pod to pod on one node: over the bridge, without NAT',
  async run(tour) {
    const [client, server] = [tour.pod('tour-a'), tour.pod('tour-b')]
    const [overTcp, overUdp] = [
      await tour.ask(client, server.address, 8080),
      await tour.ask(client, server.address, 8080, 'UDP'),
    ]
    const node = nodeOf(server)
    return {
      ok: [overTcp, overUdp].every((answer) => answer.pod === server.name && answer.client === client.address),
      tried: `${describe(client)} asks ${describe(server)} over TCP and UDP`,
      happened: `${overTcp.pod} answered, and saw ${overTcp.client} over TCP and ${overUdp.client} over UDP`,
      exhibits: [
        ...(await podInterfaceOf(tour, client, node)),
        ...(await podInterfaceOf(tour, server, node)),
        await bridgePorts(tour, node),
      ],
    }
  },
}

export const addressRest: Step = {
  title: "A deleted pod's address rests before another pod gets it",
  async run(tour) {
    const node = nodeOf(tour.pod('tour-a'))
    const gone = await tour.createPod('tour-gone', node)
    await tour.deletePod(gone.name)
    const next = []
    for (const name of ['tour-next-1', 'tour-next-2', 'tour-next-3']) next.push(await tour.createPod(name, node))
    return {
      ok: next.every(({ address }) => address !== gone.address),
      tried: `${describe(gone)} is deleted, and three pods start on its node`,
      happened: `they got ${next.map(({ address }) => address).join(', ')}`,
      exhibits: [await tour.show(node, ['sh', '-c', 'grep -rs . /run/fairlead/rest*'])],
    }
  },
}
