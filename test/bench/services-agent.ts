// A real agent, fed by the lab's API server: memory, idle CPU, and from the API server's event, or the agent's start,
// to the rule in force, told by a connection that arrives.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { IptablesBackend } from '../../src/iptables/iptables.ts'
import { AgentNamespace, type IdleCosts, idleCosts, type RunningAgent } from './agent-namespace.ts'
import { type BenchApiServer, startBenchApiServer } from './api-server.ts'
import { compiled } from './compiled.ts'
import { changeEndpoints, clusterIp, createCluster } from './service-objects.ts'

const dir = '/run/bench-services'
/** The Service that is changed, and connected to. */
const probed = 7
const settleMs = 75_000
/**
 * Longer than an agent rests after a write (agent/sync-loop.ts): each change comes alone, and none waits for the one
 * before.
 */
const pauseMs = 2000

export interface AgentCosts extends IdleCosts {
  readonly startSeconds: number
  /** s, one a change. */
  readonly changes: readonly number[]
}

export interface AgentRun {
  readonly backend: IptablesBackend
  readonly idleSeconds: number
  readonly changes: number
}

/** An API server with a cluster, for any number of agents one after another. */
export class ServiceScene implements AsyncDisposable {
  readonly #server: BenchApiServer

  private constructor(server: BenchApiServer) {
    this.#server = server
  }

  static async make(size: { services: number; nodes: number }): Promise<ServiceScene> {
    const server = await startBenchApiServer(dir, '10.98.0.0/20')
    await createCluster(server.api, size)
    return new ServiceScene(server)
  }

  async run({ backend, idleSeconds, changes }: AgentRun): Promise<AgentCosts> {
    using node = new AgentNode(backend)
    await changeEndpoints(this.#server.api, probed, node.endpoints.slice(0, 3))
    const arrival = await node.arrivalAt(node.endpoints[0] ?? '')
    const begin = process.hrtime.bigint()
    await using agent = node.startAgent()
    const startSeconds = Number((await arrival()) - begin) / 1e9
    // What a start leaves to be done is over by then: with 1,000 Nodes the second pass comes after a minute.
    await sleep(settleMs)
    const idle = await idleCosts(agent, idleSeconds)
    const times: number[] = []
    for (let n = 0; n < changes; n++) {
      const endpoints = node.endpoints.slice(n + 1, n + 4)
      const arrival = await node.arrivalAt(endpoints.at(-1) ?? '')
      const begin = process.hrtime.bigint()
      await changeEndpoints(this.#server.api, probed, endpoints)
      times.push(Number((await arrival()) - begin) / 1e9)
      await sleep(pauseMs)
    }
    return { startSeconds, ...idle, changes: times }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }
}

/** A node whose loopback holds the endpoints. */
class AgentNode implements Disposable {
  /** As many as changes need, and no two changes the same. */
  readonly endpoints = Array.from({ length: 100 }, (_, i) => `10.250.0.${i + 1}`)
  readonly #namespace = new AgentNamespace('bench-agent', dir, this.endpoints)

  constructor(backend: IptablesBackend) {
    // What kubelet leaves: the agent takes the backend that it is in.
    this.#namespace.exec(`iptables-${backend}`, ['-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT'])
  }

  /** Begins to connect to the Service. The answer waits for the moment (ns) when a connection came to the endpoint. */
  async arrivalAt(endpoint: string): Promise<() => Promise<bigint>> {
    const probe = spawn(
      'ip',
      ['netns', 'exec', this.#namespace.name, compiled('service-probe.c'), clusterIp(probed), endpoint],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const lines = createInterface(probe.stdout)[Symbol.asyncIterator]()
    await lines.next()
    return async () => BigInt(String((await lines.next()).value))
  }

  startAgent(): RunningAgent {
    return this.#namespace.startAgent()
  }

  [Symbol.dispose](): void {
    this.#namespace[Symbol.dispose]()
  }
}
