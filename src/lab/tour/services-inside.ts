// Services seen from inside the cluster.
import { outsidePort, underlay } from '../layout.ts'
import { connections } from './exhibits.ts'
import { serviceRules, settledService } from './service-rules.ts'
import { believable, spreadOf } from './spread.ts'
import { allOf, type Evidence, type Step } from './step.ts'
import { describe, type ManyAnswers, nodeOf, type Tour } from './tour.ts'

/** Clients that share a table of connections take ports in turn: enough of them for a test that can tell. */
const connectionsAsked = 3000

export const podToClusterIp: Step = {
  title: 'Pod to ClusterIP: every endpoint gets its share, and sees the pod',
  async run(tour) {
    const client = tour.pod('tour-pair')
    const service = await settledService(tour, 'web', 3)
    const many = await tour.askMany(client, service.clusterIp, 80, connectionsAsked)
    const counts = countsByPod(many)
    const { chiSquare, probability } = spreadOf([...counts.values()])
    return {
      ok:
        counts.size === 3 &&
        many.failures.length === 0 &&
        probability > believable &&
        many.answers.every((answer) => answer.client === client.address),
      tried: `${describe(client)} asks ${service.clusterIp}:80 on ${connectionsAsked} connections`,
      happened: `${said(many)}; so uneven, or more so, by chance: probability ${probability.toPrecision(2)} (chi-square ${chiSquare.toFixed(2)})`,
      exhibits: [await serviceRules(tour, nodeOf(client), 'web', /-A KUBE-(SERVICES.*cluster IP|SVC|SEP)/)],
    }
  },
}

export const hairpin: Step = {
  title: 'Hairpin: a pod reaches itself through its Service',
  async run(tour) {
    const client = tour.pod('tour-c')
    const service = await settledService(tour, 'local', 1)
    const many = await tour.askMany(client, service.clusterIp, 80, 5)
    return {
      // Its own address as source would make the answer never leave the pod: it is given the bridge's.
      ok:
        many.failures.length === 0 &&
        many.answers.every((answer) => answer.pod === client.name && answer.client !== client.address),
      tried: `${describe(client)}, the only endpoint of ${service.clusterIp}:80, asks it`,
      happened: said(many),
      exhibits: [
        await serviceRules(tour, nodeOf(client), 'local', /-A KUBE-SEP/),
        await connections(tour, nodeOf(client), [
          '-p',
          'tcp',
          '--orig-src',
          client.address,
          '--orig-dst',
          service.clusterIp,
        ]),
      ],
    }
  },
}

export const nodeToClusterIp: Step = {
  title: 'Node to ClusterIP, answered on both nodes',
  async run(tour) {
    const service = await settledService(tour, 'web', 3)
    const many = await tour.askMany('node1', service.clusterIp, 80, 30)
    return {
      ok: many.failures.length === 0 && countsByPod(many).size === 3,
      tried: `node1 asks ${service.clusterIp}:80 thirty times`,
      happened: said(many),
      exhibits: [
        await tour.show('node1', ['ip', 'route', 'get', service.clusterIp], /src/),
        await serviceRules(tour, 'node1', 'web', /-A KUBE-SVC.*MARK-MASQ/),
      ],
    }
  },
}

export const noEndpoints: Step = {
  title: 'A Service without endpoints refuses at once',
  async run(tour) {
    const service = await settledService(tour, 'empty', 0)
    const client = tour.pod('tour-a')
    const node = await tour.node('node2')
    const refused = async (
      from: Parameters<Tour['askMany']>[0],
      address: string,
      port: number,
      who: string,
    ): Promise<Evidence> => {
      const many = await tour.askMany(from, address, port, 3, 3000)
      return {
        ok:
          many.failures.length > 0 &&
          many.answers.length === 0 &&
          many.failures.every(({ reason }) => reason.includes('ECONNREFUSED')),
        tried: `${who} asks ${address}:${port}`,
        happened: said(many),
        exhibits: [],
      }
    }
    const [pod, host, outside] = await Promise.all([
      refused(client, service.clusterIp, 80, describe(client)),
      refused('node1', service.clusterIp, 80, 'node1'),
      refused('outside', node.address, service.nodePort, 'the client outside'),
    ])
    return {
      ...allOf([pod, host, outside]),
      exhibits: [await serviceRules(tour, nodeOf(client), 'empty', /REJECT/, 'filter')],
    }
  },
}

export const namedPorts: Step = {
  title: 'Two ports, each named, with other numbers in each pod',
  async run(tour) {
    const client = tour.pod('tour-a')
    const service = await settledService(tour, 'named', 4)
    const [http, admin] = [
      await tour.askMany(client, service.clusterIp, 80, 40),
      await tour.askMany(client, service.clusterIp, 81, 40),
    ]
    const listened = (many: ManyAnswers) =>
      many.answers
        .map(({ pod, port }) => `${pod}:${port}`)
        .toSorted()
        .join(' ')
    return {
      ok:
        listened(http) === 'tour-named-1:8080 tour-named-2:8081' &&
        listened(admin) === 'tour-named-1:9090 tour-named-2:9091' &&
        [http, admin].every(({ failures }) => failures.length === 0),
      tried: `${describe(client)} asks ${service.clusterIp} at ports 80 (web) and 81 (adm), forty times each`,
      happened: `at 80 answered ${listened(http)}; at 81 ${listened(admin)}`,
      exhibits: [await serviceRules(tour, nodeOf(client), 'named', /-A KUBE-SERVICES|DNAT/)],
    }
  },
}

/** A third of all choices is the same again: in so many rounds it is never the same by chance. */
const roundsToForget = 12

export const affinity: Step = {
  title: 'ClientIP affinity: the same endpoint each time, until its time is over',
  async run(tour) {
    const client = tour.pod('tour-pair')
    const service = await settledService(tour, 'sticky', 3)
    const asked = async () => [...countsByPod(await tour.askMany(client, service.clusterIp, 80, 50)).keys()]
    const first = await asked()
    let [last, rounds] = [first, 0]
    // Each connection within the second makes it last another one: pause for longer, then ask again.
    for (; rounds < roundsToForget && last.length === 1 && last[0] === first[0]; rounds++) {
      await tour.pause(1200)
      last = await asked()
    }
    return {
      ok: first.length === 1 && last.length === 1 && last[0] !== first[0],
      tried: `${describe(client)} asks ${service.clusterIp}:80 (affinity for 1 s) fifty times, and again after pauses of 1.2 s`,
      happened: `first ${first.join(', ')} answered all; after ${rounds} ${rounds === 1 ? 'pause' : 'pauses'} ${last.join(', ')} did`,
      exhibits: [await serviceRules(tour, nodeOf(client), 'sticky', /recent/)],
    }
  },
}

export const externalDatabase: Step = {
  title: 'An external database behind a Service without selector',
  async run(tour) {
    const client = tour.pod('tour-a')
    const node = nodeOf(client)
    const service = await settledService(tour, 'database', 1, [node])
    const answer = await tour.ask(client, service.clusterIp, 5432)
    return {
      ok: answer.pod === 'outside' && answer.client === (await tour.node(node)).address,
      tried: `${describe(client)} asks ${service.clusterIp}:5432, whose endpoint is ${underlay.outside}:${outsidePort}`,
      happened: `${answer.pod} answered, and saw ${answer.client}`,
      exhibits: [
        await serviceRules(tour, node, 'database', /DNAT/),
        await connections(tour, node, ['-p', 'tcp', '--orig-src', client.address, '--orig-dst', service.clusterIp]),
      ],
    }
  },
}

export function countsByPod({ answers }: ManyAnswers): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { pod, count } of answers) counts.set(pod, (counts.get(pod) ?? 0) + count)
  return counts
}

/** "tour-a 1003, tour-b 997, seeing 172.30.1.2; 1 without an answer (connect ECONNREFUSED ...)" */
export function said(many: ManyAnswers): string {
  const counts = Array.from(countsByPod(many), ([pod, count]) => `${pod} ${count}`).toSorted()
  const seen = new Set(many.answers.map(({ client }) => client))
  const answered = counts.length === 0 ? [] : [`${counts.join(', ')} answered, seeing ${[...seen].join(', ')}`]
  return [...answered, ...many.failures.map(({ reason, count }) => `${count} without an answer (${reason})`)].join('; ')
}
