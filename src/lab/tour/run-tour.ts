// `lab tour`: creates pods and Services, runs the steps in order, and leaves the lab as it was.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import type { Lab } from '../layout.ts'
import { retireNode } from '../up.ts'
import { listNodes } from '../views.ts'
import { acrossNodes, nodeToPod } from './across-nodes.ts'
import { hostPort, podToOutside, tourHostPort } from './edge.ts'
import { nodeAdded, nodeRemoved } from './membership.ts'
import { addressRest, localhost, sameNode } from './one-node.ts'
import { blockWithExcept, createPolicyPods, databaseForDataTier, defaultDeny, egressLimits } from './policies.ts'
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
import type { Evidence, Step } from './step.ts'
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

/**
 * Runs the tour.
 * @returns whether every step succeeded.
 * @throws {Error} when the lab is not ready for a tour.
 */
export async function runTour(
  lab: Lab,
  api: ApiConnection,
  output: { json: boolean; print: (text: string) => void },
): Promise<boolean> {
  const ready = (await listNodes(api)).filter((node) => node.ready)
  if (!['node1', 'node2'].every((name) => ready.some((node) => node.name === name)))
    throw new Error("the tour needs node1 and node2 to be ready: 'fairlead lab up' starts them")
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

/** Creates everything concurrently, which takes no longer than the slowest pod. */
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
  if (tour.addedNode !== undefined) await retireNode(tour.lab, tour.addedNode, tour.api, () => undefined)
  await tour.clean()
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

export interface Result {
  readonly title: string
  /** The evidence, or the error when the step could not be tried. */
  readonly outcome: Evidence | Error
}

function succeeded({ outcome }: Result): boolean {
  return !(outcome instanceof Error) && outcome.ok
}

export function renderResult(result: Result, number: number, colour: boolean): string {
  const paint = (code: number, text: string): string => (colour ? `\u001B[${code}m${text}\u001B[0m` : text)
  const heading = `${succeeded(result) ? paint(32, '✔') : paint(31, '✘')} ${number}. ${paint(1, result.title)}`
  const { outcome } = result
  if (outcome instanceof Error) return [heading, `    ${paint(31, outcome.message)}`].join('\n')
  const exhibits = outcome.exhibits.flatMap(({ where, command, lines }) => [
    `    ${paint(36, where)} $ ${command}`,
    ...(lines.length === 0 ? ['        (nothing)'] : lines.map((line) => `        ${line.trim()}`)),
  ])
  return [heading, `    tried:    ${outcome.tried}`, `    happened: ${outcome.happened}`, ...exhibits].join('\n')
}

export function renderSummary(results: readonly Result[], colour: boolean): string {
  const failed = results.filter((result) => !succeeded(result))
  const [code, text] =
    failed.length === 0
      ? [32, `all ${results.length} steps succeeded`]
      : [31, `${failed.length} of ${results.length} steps failed: ${failed.map(({ title }) => title).join('; ')}`]
  return colour ? `\u001B[${code}m${text}\u001B[0m` : text
}

export function resultAsJson({ title, outcome }: Result): object {
  return outcome instanceof Error ? { title, ok: false, error: outcome.message } : { title, ...outcome }
}
