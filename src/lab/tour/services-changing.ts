// Steps about Services whose endpoints terminate while a client uses them.
import { answerSummary, isRefused } from './answers.ts'
import { connections } from './exhibits.ts'
import { serviceRules, settledService } from './service-rules.ts'
import type { Step } from './step.ts'
import { describe, namespace, nodeOf } from './tour.ts'

/**
 * UDP connections have no end: as long as a client keeps sending, the kernel sends its datagrams to the endpoint of its
 * conntrack entry, even when that is gone. The service proxy must delete the entry.
 */
const maxSilenceMs = 1000
const localPort = 40_000

export const udpEndpointDies: Step = {
  title: 'A UDP endpoint terminates while a client keeps sending: the other one takes over within a second',
  async run(tour) {
    const client = tour.pod('tour-pair')
    const service = await settledService(tour, 'udp', 2)
    await using stream = tour.stream(client, service.clusterIp, 53, localPort)
    const victim = await tour.eventually('an endpoint answers', async () => stream.pods[0])
    await tour.deletePod(victim)
    await tour.eventually('another endpoint answers', async () => stream.pods[1])
    await tour.pause(maxSilenceMs)
    const silenceMs = await stream.end()
    return {
      ok: stream.pods.length === 2 && silenceMs <= maxSilenceMs,
      tried:
        `${describe(client)} sends to ${service.clusterIp}:53 from port ${localPort} every 10 ms, ` +
        `and ${victim}, which answers, is deleted`,
      happened: `${stream.pods.join(', then ')} answered; the longest silence was ${silenceMs} ms`,
      exhibits: [
        await serviceRules(tour, nodeOf(client), 'udp', /KUBE-(SVC|SEP)/),
        await connections(tour, nodeOf(client), [
          '-p',
          'udp',
          '--orig-src',
          client.address,
          '--orig-dst',
          service.clusterIp,
        ]),
      ],
    }
  },
}

export const draining: Step = {
  title: 'The last endpoint drains: it serves until it has ended, then the Service refuses connections',
  async run(tour) {
    const client = tour.pod('tour-a')
    const { name } = tour.pod('tour-draining')
    const service = await settledService(tour, 'draining', 1)
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`
    await tour.api.request('DELETE', path)
    await tour.eventually('the EndpointSlice says that the pod is terminating', async () =>
      (await terminating(
        tour.api.request('GET', slicesPath, { query: { labelSelector: 'kubernetes.io/service-name=draining' } }),
      ))
        ? true
        : undefined,
    )
    const during = await tour.askMany(client, service.clusterIp, 80, 5)
    const rules = await serviceRules(tour, nodeOf(client), 'draining')
    await tour.deletePod(name)
    await settledService(tour, 'draining', 0)
    const after = await tour.askMany(client, service.clusterIp, 80, 3)
    return {
      ok: during.failures.length === 0 && isRefused(after),
      tried:
        `${describe(client)} asks ${service.clusterIp}:80 while its only endpoint, ${name}, terminates ` +
        '(which takes a second), and afterwards',
      happened: `while it terminated ${answerSummary(during)}; afterwards ${answerSummary(after)}`,
      exhibits: [rules, await serviceRules(tour, nodeOf(client), 'draining', /REJECT/, 'filter')],
    }
  },
}

const slicesPath = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`

async function terminating(list: Promise<unknown>): Promise<boolean> {
  const { items } = (await list) as {
    items: { endpoints: { conditions: { terminating: boolean; serving: boolean } }[] }[]
  }
  return items.some(({ endpoints }) => endpoints.some(({ conditions }) => conditions.terminating && conditions.serving))
}
