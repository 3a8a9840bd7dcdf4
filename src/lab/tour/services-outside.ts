// Services seen from beyond the cluster.
import { type NodeName, underlay } from '../layout.ts'
import { connections } from './exhibits.ts'
import { said } from './services-inside.ts'
import { readService, serviceRules, settledService } from './service-rules.ts'
import { allOf, type Step } from './step.ts'
import type { ManyAnswers, Tour } from './tour.ts'
import { externalIp } from './tour-services.ts'

const nodes: readonly NodeName[] = ['node1', 'node2']
/** What is dropped is given up after this. */
const patienceMs = 700

export const nodePort: Step = {
  title: 'Outside to a node port: every node answers, with its own address before the client',
  async run(tour) {
    const service = await settledService(tour, 'web', 3)
    const parts = await Promise.all(
      nodes.map(async (name) => {
        const { address } = await tour.node(name)
        const many = await tour.askMany('outside', address, service.nodePort, 30)
        return {
          ok: answeredBy(many, 3) && !seenFrom(many, underlay.outside),
          tried: `the client outside asks ${address}:${service.nodePort} thirty times`,
          happened: said(many),
          exhibits: [await serviceRules(tour, name, 'web', /-A KUBE-(NODEPORTS|EXT)/)],
        }
      }),
    )
    return allOf(parts)
  },
}

export const localPolicy: Step = {
  title: "externalTrafficPolicy Local: the client's address is kept, and a node without an endpoint drops",
  async run(tour) {
    const service = await settledService(tour, 'local', 1)
    const [without, having] = [await tour.node('node1'), await tour.node('node2')]
    const [kept, dropped] = await Promise.all([
      tour.askMany('outside', having.address, service.nodePort, 5),
      tour.askMany('outside', without.address, service.nodePort, 1, patienceMs),
    ])
    return {
      ok: answeredBy(kept, 1) && kept.answers.every(({ client }) => client === underlay.outside) && isDropped(dropped),
      tried: `the client outside (${underlay.outside}) asks ${having.address}:${service.nodePort}, then ${without.address}:${service.nodePort}, a node without an endpoint`,
      happened: `${said(kept)}; from node1 ${said(dropped)}`,
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
  title: 'An external IP that a router leads to a node',
  async run(tour) {
    await settledService(tour, 'web', 3)
    const { address } = await tour.node('node1')
    await tour.run('outside', ['ip', 'route', 'replace', `${externalIp}/32`, 'via', address])
    try {
      const many = await tour.askMany('outside', externalIp, 80, 30)
      return {
        ok: answeredBy(many, 3),
        tried: `the client outside asks ${externalIp}:80 thirty times, with a route to it through node1`,
        happened: said(many),
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
  title: 'Load balancers: an address from the pool, and source ranges that let some in',
  async run(tour) {
    const [open, closed] = [await balanced(tour, 'open'), await balanced(tour, 'closed')]
    const [answered, dropped] = await Promise.all([
      tour.askMany('outside', open.loadBalancerIp, 80, 30),
      tour.askMany('outside', closed.loadBalancerIp, 80, 1, patienceMs),
    ])
    return {
      ok: answeredBy(answered, 3) && isDropped(dropped),
      tried: `the client outside asks ${open.loadBalancerIp}:80, open to it, thirty times, and ${closed.loadBalancerIp}:80, open to others`,
      happened: `${said(answered)}; at the other ${said(dropped)}`,
      exhibits: [
        await tour.show('outside', ['ip', 'route', 'show', open.loadBalancerIp]),
        await serviceRules(tour, 'node1', 'open', /KUBE-(SERVICES.*loadbalancer|FW)/),
        await serviceRules(tour, 'node1', 'closed', /KUBE-FW/),
        await serviceRules(tour, 'node1', 'closed', /DROP/, 'filter'),
      ],
    }
  },
}

/** The Service, once it has its address and the nodes know it. */
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

function answeredBy({ answers, failures }: ManyAnswers, pods: number): boolean {
  return failures.length === 0 && new Set(answers.map(({ pod }) => pod)).size === pods
}

function seenFrom({ answers }: ManyAnswers, address: string): boolean {
  return answers.some(({ client }) => client === address)
}

/** Nothing came, not even a refusal. */
export function isDropped({ answers, failures }: ManyAnswers): boolean {
  return answers.length === 0 && failures.every(({ reason }) => reason.startsWith('no answer within'))
}
