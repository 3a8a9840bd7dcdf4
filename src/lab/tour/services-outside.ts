// Steps about Services used from outside the cluster.
import { type NodeName, underlay } from '../layout.ts'
import { answerSummary, isAnsweredBy, isDropped } from './answers.ts'
import { connections } from './exhibits.ts'
import { readService, serviceRules, settledService } from './service-rules.ts'
import { allOf, type Step } from './step.ts'
import { externalIp } from './tour-services.ts'
import type { Tour } from './tour.ts'

const nodes: readonly NodeName[] = ['node1', 'node2']
/** ms to wait for an answer to packets that are dropped. */
const answerTimeoutMs = 700

export const nodePort: Step = {
  title: 'Outside to a node port: every node answers, and masquerades the client',
  async run(tour) {
    const service = await settledService(tour, 'web', 3)
    const parts = await Promise.all(
      nodes.map(async (name) => {
        const { address } = await tour.node(name)
        const many = await tour.askMany('outside', address, service.nodePort, 30)
        return {
          ok: isAnsweredBy(many, 3) && many.answers.every(({ client }) => client !== underlay.outside),
          tried: `the client outside asks ${address}:${service.nodePort} thirty times`,
          happened: answerSummary(many),
          exhibits: [await serviceRules(tour, name, 'web', /-A KUBE-(NODEPORTS|EXT)/)],
        }
      }),
    )
    return allOf(parts)
  },
}

export const localPolicy: Step = {
  title: "externalTrafficPolicy Local: the client's address is kept, and a node without an endpoint drops packets",
  async run(tour) {
    const service = await settledService(tour, 'local', 1)
    const [without, withEndpoint] = [await tour.node('node1'), await tour.node('node2')]
    const [kept, dropped] = await Promise.all([
      tour.askMany('outside', withEndpoint.address, service.nodePort, 5),
      tour.askMany('outside', without.address, service.nodePort, 1, answerTimeoutMs),
    ])
    return {
      ok:
        isAnsweredBy(kept, 1) && kept.answers.every(({ client }) => client === underlay.outside) && isDropped(dropped),
      tried:
        `the client outside (${underlay.outside}) asks ${withEndpoint.address}:${service.nodePort}, ` +
        `then ${without.address}:${service.nodePort}, a node without an endpoint`,
      happened: `${answerSummary(kept)}; from node1 ${answerSummary(dropped)}`,
      exhibits: [
        await serviceRules(tour, 'node2', 'local', /-A KUBE-(NODEPORTS|EXT|SVL)/),
        await connections(tour, 'node2', [
          '-p',
          'tcp',
          '--orig-src',
          underlay.outside,
          '--orig-port-dst',
          String(service.nodePort),
        ]),
        await serviceRules(tour, 'node1', 'local', /DROP/, 'filter'),
      ],
    }
  },
}

export const throughExternalIp: Step = {
  title: 'An external IP that a router routes to a node',
  async run(tour) {
    await settledService(tour, 'web', 3)
    const { address } = await tour.node('node1')
    await tour.run('outside', ['ip', 'route', 'replace', `${externalIp}/32`, 'via', address])
    try {
      const many = await tour.askMany('outside', externalIp, 80, 30)
      return {
        ok: isAnsweredBy(many, 3),
        tried: `the client outside asks ${externalIp}:80 thirty times, with a route to it through node1`,
        happened: answerSummary(many),
        exhibits: [
          await tour.show('outside', ['ip', 'route', 'show', externalIp]),
          await serviceRules(tour, 'node1', 'web', /external IP/),
        ],
      }
    } finally {
      await tour.run('outside', ['ip', 'route', 'flush', 'exact', `${externalIp}/32`])
    }
  },
}

export const loadBalancer: Step = {
  title: 'Load balancers: an address from the pool, and source ranges that admit some clients',
  async run(tour) {
    const [open, closed] = [await balanced(tour, 'open'), await balanced(tour, 'closed')]
    const [answered, dropped] = await Promise.all([
      tour.askMany('outside', open.loadBalancerIp, 80, 30),
      tour.askMany('outside', closed.loadBalancerIp, 80, 1, answerTimeoutMs),
    ])
    return {
      ok: isAnsweredBy(answered, 3) && isDropped(dropped),
      tried:
        `the client outside asks ${open.loadBalancerIp}:80, open to it, thirty times, ` +
        `and ${closed.loadBalancerIp}:80, open to others`,
      happened: `${answerSummary(answered)}; at the other ${answerSummary(dropped)}`,
      exhibits: [
        await tour.show('outside', ['ip', 'route', 'show', open.loadBalancerIp]),
        await serviceRules(tour, 'node1', 'open', /KUBE-(SERVICES.*loadbalancer|FW)/),
        await serviceRules(tour, 'node1', 'closed', /KUBE-FW/),
        await serviceRules(tour, 'node1', 'closed', /DROP/, 'filter'),
      ],
    }
  },
}

/** Returns the Service, once it has a load balancer address and the nodes have rules for it. */
async function balanced(tour: Tour, name: string) {
  await settledService(tour, name, 3)
  return await tour.eventually(`Service ${name} has a load balancer address that the nodes know`, async () => {
    const service = await readService(tour, name)
    if (service.loadBalancerIp === '') return undefined
    const rules = await Promise.all(nodes.map(async (node) => await serviceRules(tour, node, name, /loadbalancer IP/)))
    return rules.every(({ lines }) => lines.some((line) => line.includes(`${service.loadBalancerIp}/32`)))
      ? service
      : undefined
  })
}
