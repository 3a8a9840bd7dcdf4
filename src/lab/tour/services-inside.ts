// Steps about Services used from inside the cluster.
import { outsidePort, underlay } from '../layout.ts'
import { answerSummary, countsByPod, isRefused, minProbability, spreadOf } from './answers.ts'
import { connections } from './exhibits.ts'
import { serviceRules, settledService } from './service-rules.ts'
import { allOf, type Evidence, type Step } from './step.ts'
import { type AnswerCounts, describe, nodeOf, type Tour } from './tour.ts'

/** Enough connections for the chi-square test to detect an uneven spread. */
const spreadConnections = 3000

export const podToClusterIp: Step = {
  title: 'Pod to ClusterIP: every endpoint gets its share, and sees the pod',
  async run(tour) {
    const client = tour.pod('tour-pair')
    const service = await settledService(tour, 'web', 3)
    const result = await tour.askMany(client, service.clusterIp, 80, spreadConnections)
    const counts = countsByPod(result)
    const { chiSquare, probability } = spreadOf([...counts.values()])
    const likelihood = `probability ${probability.toPrecision(2)} (chi-square ${chiSquare.toFixed(2)})`
    return {
      ok:
        counts.size === 3 &&
        result.failures.length === 0 &&
        probability > minProbability &&
        result.answers.every((answer) => answer.client === client.address),
      tried: `${describe(client)} asks ${service.clusterIp}:80 on ${spreadConnections} connections`,
      happened: `${answerSummary(result)}; so uneven, or more so, by chance: ${likelihood}`,
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
      // With the pod's own address as source the answer would not leave the pod, so it is masqueraded.
      ok:
        many.failures.length === 0 &&
        many.answers.every((answer) => answer.pod === client.name && answer.client !== client.address),
      tried: `${describe(client)}, the only endpoint of ${service.clusterIp}:80, asks it`,
      happened: answerSummary(many),
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
      happened: answerSummary(many),
      exhibits: [
        await tour.show('node1', ['ip', 'route', 'get', service.clusterIp], /src/),
        await serviceRules(tour, 'node1', 'web', /-A KUBE-SVC.*MARK-MASQ/),
      ],
    }
  },
}

export const noEndpoints: Step = {
  title: 'A Service without endpoints refuses connections at once',
  async run(tour) {
    const service = await settledService(tour, 'empty', 0)
    const client = tour.pod('tour-a')
    const node = await tour.node('node2')
    const refused = async (
      from: Parameters<Tour['askMany']>[0],
      address: string,
      port: number,
      client: string,
    ): Promise<Evidence> => {
      const counts = await tour.askMany(from, address, port, 3, 3000)
      return {
        ok: isRefused(counts),
        tried: `${client} asks ${address}:${port}`,
        happened: answerSummary(counts),
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
  title: 'Two named ports, with different numbers in each pod',
  async run(tour) {
    const client = tour.pod('tour-a')
    const service = await settledService(tour, 'named', 4)
    const [http, admin] = [
      await tour.askMany(client, service.clusterIp, 80, 40),
      await tour.askMany(client, service.clusterIp, 81, 40),
    ]
    const listeners = (many: AnswerCounts) =>
      many.answers
        .map(({ pod, port }) => `${pod}:${port}`)
        .toSorted()
        .join(' ')
    return {
      ok:
        listeners(http) === 'tour-named-1:8080 tour-named-2:8081' &&
        listeners(admin) === 'tour-named-1:9090 tour-named-2:9091' &&
        [http, admin].every(({ failures }) => failures.length === 0),
      tried: `${describe(client)} asks ${service.clusterIp} at ports 80 (web) and 81 (adm), forty times each`,
      happened: `at 80 answered ${listeners(http)}; at 81 ${listeners(admin)}`,
      exhibits: [await serviceRules(tour, nodeOf(client), 'named', /-A KUBE-SERVICES|DNAT/)],
    }
  },
}

/**
 * The step pauses until another endpoint is chosen. Each choice is the same as before with probability 1/3, so this
 * many in a row practically never are.
 */
const maxPauses = 12

export const affinity: Step = {
  title: 'ClientIP affinity: the same endpoint each time, until the timeout',
  async run(tour) {
    const client = tour.pod('tour-pair')
    const service = await settledService(tour, 'sticky', 3)
    const ask = async () => [...countsByPod(await tour.askMany(client, service.clusterIp, 80, 50)).keys()]
    const first = await ask()
    let [last, pauses] = [first, 0]
    // Each connection within the timeout of 1 s renews it, so pause for longer.
    for (; pauses < maxPauses && last.length === 1 && last[0] === first[0]; pauses++) {
      await tour.pause(1200)
      last = await ask()
    }
    return {
      ok: first.length === 1 && last.length === 1 && last[0] !== first[0],
      tried:
        `${describe(client)} asks ${service.clusterIp}:80 (affinity for 1 s) fifty times, ` +
        'and again after pauses of 1.2 s',
      happened:
        `first ${first.join(', ')} answered all; ` +
        `after ${pauses} ${pauses === 1 ? 'pause' : 'pauses'} ${last.join(', ')} did`,
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
