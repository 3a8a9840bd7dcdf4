// `lab tour`: makes its pods, takes the steps in order, and leaves the lab as it found it.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import type { Lab } from '../layout.ts'
import { retireNode } from '../up.ts'
import { listNodes } from '../views.ts'
import { acrossNodes, nodeToPod } from './across-nodes.ts'
import { addressRest } from './address-rest.ts'
import { hostPort, podToOutside, tourHostPort } from './edge.ts'
import { nodeAdded, nodeRemoved } from './membership.ts'
import { localhost, sameNode } from './one-node.ts'
import { blockWithExcept, createPolicyPods, databaseForDataTier, defaultDeny, egressLimits } from './policies.ts'
import { renderResult, renderSummary, type Result, resultAsJson, succeeded } from './render.ts'
import { draining, udpEndpointDies } from './services-changing.ts'
import {
  affinity,
  externalDatabase,
  hairpin,
  namedPorts,
  nodeToClusterIp,
  noEndpoints,
  podToClusterIp,
} from './services-inside.ts'
import { loadBalancer, localPolicy, nodePort, throughExternalIp } from './services-outside.ts'
import type { Step } from './step.ts'
import { createServicePods, createTourServices } from './tour-services.ts'
import { Tour } from './tour.ts'

const podNetwork: readonly Step[] = [
  localhost,
  sameNode,
  acrossNodes,
  nodeToPod,
  podToOutside,
  hostPort,
  nodeAdded,
  nodeRemoved,
  addressRest,
]
const services: readonly Step[] = [
  podToClusterIp,
  hairpin,
  nodeToClusterIp,
  noEndpoints,
  namedPorts,
  affinity,
  externalDatabase,
  nodePort,
  localPolicy,
  throughExternalIp,
  loadBalancer,
  udpEndpointDies,
  draining,
]
const policies: readonly Step[] = [databaseForDataTier, defaultDeny, blockWithExcept, egressLimits]
const steps: readonly Step[] = [...podNetwork, ...services, ...policies]

/** @returns whether every step went as it should. @throws {Error} when the lab is not fit for a tour. */
export async function runTour(
  lab: Lab,
  api: ApiConnection,
  output: { json: boolean; print: (text: string) => void },
): Promise<boolean> {
  const ready = (await listNodes(api)).filter((node) => node.ready)
  if (!['node1', 'node2'].every((name) => ready.some((node) => node.name === name)))
    throw new Error(`the tour needs node1 and node2 to be ready: 'fairlead lab up' makes them so`)
  const tour = new Tour(lab, api)
  const colour = process.stdout.isTTY && !output.json
  const results: Result[] = []
  try {
    await setUp(tour)
    for (const step of steps) {
      const { title } = step
      const outcome = await step.run(tour).catch(errorOf)
      results.push({ title, outcome })
      if (!output.json) output.print(`${renderResult({ title, outcome }, results.length, colour)}\n`)
    }
  } finally {
    await leave(tour).catch((error: unknown) =>
      results.push({ title: 'The lab is left as it was', outcome: errorOf(error) }),
    )
  }
  output.print(output.json ? JSON.stringify(results.map(resultAsJson), undefined, 2) : renderSummary(results, colour))
  return results.every(succeeded)
}

/** All pods at once, so that it takes no longer than the slowest. */
async function setUp(tour: Tour): Promise<void> {
  await tour.clean()
  await tour.createNamespace()
  await Promise.all([
    tour.createPod('tour-pair', 'node1', {
      containers: [
        { name: 'one', ports: [{ containerPort: 8080 }] },
        { name: 'two', ports: [{ containerPort: 8081 }] },
      ],
    }),
    tour.createPod('tour-a', 'node1', { labels: { app: 'web' } }),
    tour.createPod('tour-b', 'node1', { labels: { app: 'web' } }),
    tour.createPod('tour-c', 'node2', { labels: { app: 'web', place: 'node2' } }),
    tour.createPod('tour-host', 'node2', {
      containers: [{ name: 'echo', ports: [{ containerPort: 8080, hostPort: tourHostPort }] }],
    }),
    createServicePods(tour),
    createTourServices(tour),
    createPolicyPods(tour),
  ])
}

async function leave(tour: Tour): Promise<void> {
  if (tour.guest !== undefined) await retireNode(tour.lab, tour.guest, tour.api, () => undefined)
  await tour.clean()
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
