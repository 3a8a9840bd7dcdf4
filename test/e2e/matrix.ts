// Every pod asks every pod and Service, in whichever way it can.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from './cluster.ts'
import { type Answer, complaint, type Facts, type PodFacts, type Question, questions } from './questions.ts'
import { plannedPods, services, workload } from './workload.ts'

interface Listed<T> {
  readonly items: readonly T[]
}

interface ServiceObject {
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly clusterIP: string
    readonly ports: readonly { readonly protocol: string; readonly nodePort?: number }[]
  }
}

interface NodeObject {
  readonly metadata: { readonly name: string }
  readonly status: { readonly addresses: readonly { readonly type: string; readonly address: string }[] }
}

/** Makes namespace `e2e` and waits until its pods answer. */
export async function startWorkload(cluster: Cluster): Promise<Facts> {
  const nodes = await addressesOfNodes(cluster)
  const pods = plannedPods(Object.keys(nodes))
  await cluster.kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: workload(pods, cluster) }),
  )
  await cluster.kubectl(['wait', '--namespace', 'e2e', '--for=condition=Ready', 'pods', '--all', '--timeout=180s'])
  const running = await listed<{ metadata: { name: string }; spec: { nodeName: string }; status: { podIP: string } }>(
    cluster,
    'pods',
  )
  const made = new Map(
    (await listed<ServiceObject>(cluster, 'services')).map((service) => [service.metadata.name, service.spec]),
  )
  const portsOf = (name: string): Record<string, number> =>
    Object.fromEntries((made.get(name)?.ports ?? []).map(({ protocol, nodePort = 0 }) => [protocol, nodePort]))
  return {
    pods: running.map(({ metadata, spec, status }): PodFacts => ({
      name: metadata.name,
      node: spec.nodeName,
      address: status.podIP,
    })),
    nodes,
    clusterIp: made.get(services.plain)?.clusterIP ?? '',
    itselfIp: made.get(services.itself)?.clusterIP ?? '',
    nodePort: portsOf(services.nodePort),
    localPort: portsOf(services.local),
    names: cluster.names,
  }
}

/**
 * Asks all; those that get a wrong answer, or none, once more after a moment, since rules may be on their way.
 * @returns how many questions, and a sentence for each that stays wrong
 */
export async function askAll(cluster: Cluster, facts: Facts): Promise<{ asked: number; complaints: string[] }> {
  const all = questions(facts)
  const wrong = await complaintsOf(cluster, all)
  if (wrong.length === 0) return { asked: all.length, complaints: [] }
  await sleep(3000)
  return {
    asked: all.length,
    complaints: (
      await complaintsOf(
        cluster,
        wrong.map(({ question }) => question),
      )
    ).map(({ sentence }) => sentence),
  }
}

export async function stopWorkload({ kubectl }: Cluster): Promise<void> {
  await kubectl(['delete', 'namespace', 'e2e', '--timeout=120s'])
}

async function complaintsOf(
  cluster: Cluster,
  asked: readonly Question[],
): Promise<{ question: Question; sentence: string }[]> {
  const found = []
  for (const [pod, ofPod] of Map.groupBy(asked, ({ from }) => from)) {
    const script = ofPod.map(({ target }) => `${cluster.echo.join(' ')} ask ${target} 2>/dev/null || echo`).join('\n')
    const lines = (await cluster.inPod(pod, script)).split('\n')
    for (const [i, question] of ofPod.entries()) {
      const line = lines[i] ?? ''
      const sentence = complaint(question, line === '' ? undefined : (JSON.parse(line) as Answer))
      if (sentence !== undefined) found.push({ question, sentence })
    }
  }
  return found
}

async function addressesOfNodes(cluster: Cluster): Promise<Record<string, string>> {
  const { items } = JSON.parse(await cluster.kubectl(['get', 'nodes', '-o', 'json'])) as Listed<NodeObject>
  return Object.fromEntries(
    items.map(({ metadata, status }) => [
      metadata.name,
      status.addresses.find(({ type }) => type === 'InternalIP')?.address ?? '',
    ]),
  )
}

async function listed<T>({ kubectl }: Cluster, resource: string): Promise<readonly T[]> {
  return (JSON.parse(await kubectl(['get', '--namespace', 'e2e', resource, '-o', 'json'])) as Listed<T>).items
}
