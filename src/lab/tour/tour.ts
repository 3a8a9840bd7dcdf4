// What the steps of the tour work with: pods of its own, commands anywhere in the lab, and questions to echo servers.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import * as z from 'zod'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { inMember, inPod } from '../enter.ts'
import { isNodeName, type Lab, type NodeName } from '../layout.ts'
import { inNode } from '../nodes.ts'
import { applyObject, deleteObject, type Manifest } from '../objects.ts'
import { dist } from '../processes.ts'
import { listNodes, listPods, type NodeView, type PodView, viewPod } from '../views.ts'
import type { Exhibit } from './step.ts'
import { UdpStream } from './udp-stream.ts'

export const namespace = 'tour'
const echo = [process.execPath, join(dist, 'echo.mjs')]
const podReadyWithinMs = 30_000
/**
 * What the tour gives controllers and agents to follow a change. In a lab that idles they take a fraction of a second.
 */
const followedWithinMs = 10_000

/** Where a command of the tour runs. */
export type Place = PodView | NodeName | 'outside'

const answerSchema = z.object({ pod: z.string(), client: z.string() })

export interface Answer {
  /** The pod that answered; "outside" for the server beyond the cluster. */
  readonly pod: string
  /** The address, without port, that it saw the question come from. */
  readonly client: string
}

const manySchema = z.object({
  answers: z.array(z.object({ pod: z.string(), port: z.number(), client: z.string(), count: z.number() })),
  failures: z.array(z.object({ reason: z.string(), count: z.number() })),
})

/** What came of many questions: the same answers counted. `port` is the one that the pod listens on. */
export type ManyAnswers = z.infer<typeof manySchema>

interface PodSettings {
  readonly containers?: readonly object[]
  readonly labels?: Readonly<Record<string, string>>
}

export class Tour {
  readonly lab: Lab
  readonly api: ApiConnection
  /** The node that joined for the tour and has to leave with it. */
  guest: NodeName | undefined
  readonly #pods = new Map<string, PodView>()

  constructor(lab: Lab, api: ApiConnection) {
    this.lab = lab
    this.api = api
  }

  /** A pod that the tour made before. */
  pod(name: string): PodView {
    const pod = this.#pods.get(name)
    if (pod === undefined) throw new Error(`the tour made no pod ${name}`)
    return pod
  }

  async node(name: NodeName): Promise<NodeView> {
    const node = (await listNodes(this.api)).find((node) => node.name === name)
    if (node === undefined) throw new Error(`there is no Node ${name}`)
    return node
  }

  /** Makes a pod and returns it when it is ready. */
  async createPod(
    name: string,
    node: NodeName,
    { containers = [{ name: 'echo' }], labels = {} }: PodSettings = {},
  ): Promise<PodView> {
    const spec = {
      nodeName: node,
      terminationGracePeriodSeconds: 2,
      containers: containers.map((container) => ({ image: 'echo', ...container })),
    }
    await applyObject(this.api, { ...podNamed(name, labels), spec })
    const deadline = Date.now() + podReadyWithinMs
    for (;;) {
      const pod = viewPod(await this.api.request('GET', `/api/v1/namespaces/${namespace}/pods/${name}`))
      if (pod.ready) {
        this.#pods.set(name, pod)
        return pod
      }
      if (Date.now() > deadline)
        throw new Error(
          `pod ${name} is not ready on ${node} after ${podReadyWithinMs / 1000} s: ${pod.phase} ${pod.message}`,
        )
      await sleep(50)
    }
  }

  async deletePod(name: string): Promise<void> {
    this.#pods.delete(name)
    await deleteObject(this.api, podNamed(name))
  }

  /** Any other object, in the tour's namespace. */
  async create(manifest: Manifest): Promise<void> {
    await applyObject(this.api, { ...manifest, metadata: { ...manifest.metadata, namespace } })
  }

  async delete(manifest: Manifest): Promise<void> {
    await deleteObject(this.api, { ...manifest, metadata: { ...manifest.metadata, namespace } })
  }

  async createNamespace(): Promise<void> {
    await applyObject(this.api, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  }

  /** Removes all that the tour made, also what an interrupted one left. */
  async clean(): Promise<void> {
    const pods = (await listPods(this.api)).filter((pod) => pod.namespace === namespace)
    await Promise.all(pods.map(async ({ name }) => await this.deletePod(name)))
    await deleteObject(this.api, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  }

  /** @returns what the echo server there answered. @throws {Error} when it did not. */
  async ask(from: Place, address: string, port: number, protocol: 'TCP' | 'UDP' = 'TCP'): Promise<Answer> {
    const text = await this.run(from, [...echo, 'ask', address, `${port}/${protocol}`])
    const { pod, client } = answerSchema.parse(JSON.parse(text))
    return { pod, client: client.replace(/:\d+$/, '') }
  }

  /** Asks on so many connections of one process, a few dozen at a time, and counts what came. */
  async askMany(from: Place, address: string, port: number, count: number, withinMs = 5000): Promise<ManyAnswers> {
    return manySchema.parse(
      JSON.parse(await this.run(from, [...echo, 'many', address, `${port}/TCP`, String(count), String(withinMs)])),
    )
  }

  /** Sends datagrams from one port, without waiting for answers, until it is ended. */
  stream(from: Place, address: string, port: number, localPort: number): UdpStream {
    return new UdpStream(this.#enter(from, [...echo, 'stream', address, `${port}/UDP`, String(localPort)]))
  }

  async pause(ms: number): Promise<void> {
    await sleep(ms)
  }

  /** Looks again and again until there is something to see. @throws {Error} when there is nothing within 10 s. */
  async eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const deadline = Date.now() + followedWithinMs
    for (;;) {
      const seen = await look()
      if (seen !== undefined) return seen
      if (Date.now() > deadline) throw new Error(`${what}: not so after ${followedWithinMs / 1000} s`)
      await sleep(50)
    }
  }

  /** Stdout of a command; @throws {Error} with its stderr when it fails. */
  async run(place: Place, command: readonly string[]): Promise<string> {
    const [file = '', ...args] = this.#enter(place, command)
    const { stdout, stderr, failed, exitCode } = await execa(file, args, { reject: false, env: { LC_ALL: 'C' } })
    if (failed)
      throw new Error(`${nameOf(place)} $ ${command.join(' ')}: ${stderr || stdout || `exit code ${exitCode}`}`)
    return stdout
  }

  /** A command's lines, or those that match, as an exhibit. What fails is shown too: that, too, says something. */
  async show(place: Place, command: readonly string[], match = /./): Promise<Exhibit> {
    const text = await this.run(place, command).catch((error: unknown) =>
      error instanceof Error ? error.message : String(error),
    )
    return {
      where: nameOf(place),
      command: command.join(' '),
      lines: text.split('\n').filter((line) => match.test(line)),
    }
  }

  #enter(place: Place, command: readonly string[]): string[] {
    if (place === 'outside') return inMember(this.lab, 'outside', command)
    return typeof place === 'string' ? inNode(this.lab, place, command) : inPod(this.lab, place, command)
  }
}

export function nameOf(place: Place): string {
  return typeof place === 'string' ? place : place.name
}

/** "tour-a (172.30.1.2)" */
export function describe(pod: PodView): string {
  return `${pod.name} (${pod.address}, ${pod.node})`
}

/** The node a pod runs on. */
export function nodeOf(pod: PodView): NodeName {
  if (!isNodeName(pod.node))
    throw new Error(`Expected pod ${pod.name} to run on a node of the lab, got \`${pod.node}\``)
  return pod.node
}

function podNamed(name: string, labels: Readonly<Record<string, string>> = {}): Manifest {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels } }
}
