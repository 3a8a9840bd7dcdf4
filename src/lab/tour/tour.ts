// The tools of the steps: pods of the tour, commands anywhere in the lab, and requests to echo servers.
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
/** ms for controllers and agents to apply a change. In an idle lab they need a fraction of a second. */
const changeTimeoutMs = 10_000

/** The place where a command of the tour runs. */
export type Place = PodView | NodeName | 'outside'

const answerSchema = z.object({ pod: z.string(), client: z.string() })

export interface Answer {
  /** The pod that answered; "outside" for the server outside the cluster. */
  readonly pod: string
  /** The source address that the pod saw, without port. */
  readonly client: string
}

const manySchema = z.object({
  answers: z.array(z.object({ pod: z.string(), port: z.number(), client: z.string(), count: z.number() })),
  failures: z.array(z.object({ reason: z.string(), count: z.number() })),
})

/** The answers to many requests, counted. `port` is the one that the pod listens on. */
export type AnswerCounts = z.infer<typeof manySchema>

interface PodSettings {
  readonly containers?: readonly object[]
  readonly labels?: Readonly<Record<string, string>>
}

export class Tour {
  readonly lab: Lab
  readonly api: ApiConnection
  /** The node that the tour added and must remove at the end. */
  addedNode: NodeName | undefined
  readonly #pods = new Map<string, PodView>()

  constructor(lab: Lab, api: ApiConnection) {
    this.lab = lab
    this.api = api
  }

  /** Returns a pod that the tour created before. */
  pod(name: string): PodView {
    const pod = this.#pods.get(name)
    if (pod === undefined) throw new Error(`the tour has created no pod ${name}`)
    return pod
  }

  async node(name: NodeName): Promise<NodeView> {
    const node = (await listNodes(this.api)).find((node) => node.name === name)
    if (node === undefined) throw new Error(`there is no Node ${name}`)
    return node
  }

  /** Creates a pod and waits until it is ready. */
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

  /** Creates another object in the tour's namespace. */
  async create(manifest: Manifest): Promise<void> {
    await applyObject(this.api, { ...manifest, metadata: { ...manifest.metadata, namespace } })
  }

  async delete(manifest: Manifest): Promise<void> {
    await deleteObject(this.api, { ...manifest, metadata: { ...manifest.metadata, namespace } })
  }

  async createNamespace(): Promise<void> {
    await applyObject(this.api, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  }

  /** Deletes everything that the tour created, including the leftovers of an interrupted one. */
  async clean(): Promise<void> {
    const pods = (await listPods(this.api)).filter((pod) => pod.namespace === namespace)
    await Promise.all(pods.map(async ({ name }) => await this.deletePod(name)))
    await deleteObject(this.api, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  }

  /**
   * Sends one request to an echo server.
   * @throws {Error} when there is no answer.
   */
  async ask(from: Place, address: string, port: number, protocol: 'TCP' | 'UDP' = 'TCP'): Promise<Answer> {
    const text = await this.run(from, [...echo, 'ask', address, `${port}/${protocol}`])
    const { pod, client } = answerSchema.parse(JSON.parse(text))
    return { pod, client: client.replace(/:\d+$/, '') }
  }

  /**
   * Sends many requests from one process, each on its own connection and some dozens at a time, and counts the answers.
   */
  async askMany(from: Place, address: string, port: number, count: number, withinMs = 5000): Promise<AnswerCounts> {
    return manySchema.parse(
      JSON.parse(await this.run(from, [...echo, 'many', address, `${port}/TCP`, String(count), String(withinMs)])),
    )
  }

  /** Sends datagrams from one port until the stream is ended. */
  stream(from: Place, address: string, port: number, localPort: number): UdpStream {
    return new UdpStream(this.#enter(from, [...echo, 'stream', address, `${port}/UDP`, String(localPort)]))
  }

  async pause(ms: number): Promise<void> {
    await sleep(ms)
  }

  /**
   * Calls `look` until it returns a value.
   * @param what the expected condition, for the error.
   * @throws {Error} when there is no value within 10 s.
   */
  async eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const deadline = Date.now() + changeTimeoutMs
    for (;;) {
      const value = await look()
      if (value !== undefined) return value
      if (Date.now() > deadline) throw new Error(`${what}: not so after ${changeTimeoutMs / 1000} s`)
      await sleep(50)
    }
  }

  /**
   * Runs a command and returns its stdout.
   * @throws {Error} with its stderr when it fails.
   */
  async run(place: Place, command: readonly string[]): Promise<string> {
    const [file = '', ...args] = this.#enter(place, command)
    const { stdout, stderr, failed, exitCode } = await execa(file, args, { reject: false, env: { LC_ALL: 'C' } })
    if (failed)
      throw new Error(`${nameOf(place)} $ ${command.join(' ')}: ${stderr || stdout || `exit code ${exitCode}`}`)
    return stdout
  }

  /** Runs a command and returns its lines that match as an exhibit. If it fails, the exhibit is the error. */
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

/** Formats "tour-a (172.30.1.2, node1)". */
export function describe(pod: PodView): string {
  return `${pod.name} (${pod.address}, ${pod.node})`
}

/** Returns the node that a pod runs on. */
export function nodeOf(pod: PodView): NodeName {
  if (!isNodeName(pod.node))
    throw new Error(`Expected pod ${pod.name} to run on a node of the lab, got \`${pod.node}\``)
  return pod.node
}

function podNamed(name: string, labels: Readonly<Record<string, string>> = {}): Manifest {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels } }
}
