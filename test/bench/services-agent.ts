// A real agent, fed by the lab's API server: memory, idle CPU, and from the API server's event, or the agent's start, to the rule in force, told by a connection that arrives.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../../src/cluster/api-connection.ts'
import { connectCluster } from '../../src/cluster/connect.ts'
import type { IptablesBackend } from '../../src/kernel/kernel.ts'
import { compiled } from './compiled.ts'
import { cpuSeconds, residentMegabytes } from './process-cost.ts'
import { changeEndpoints, clusterIp, createCluster } from './service-objects.ts'

const root = `${import.meta.dirname}/../..`
const dir = '/run/bench-services'
const serverAddress = '192.168.99.254'
/** The Service that is changed, and connected to. */
const probed = 7
const settleMs = 40_000
const pauseMs = 300

export interface AgentCosts {
  readonly startSeconds: number
  readonly megabytes: number
  readonly peakMegabytes: number
  /** Of one core, in per cent, with everything that the agent starts. */
  readonly idlePercent: number
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
  readonly #server: ChildProcess
  readonly #api: ApiConnection

  private constructor(server: ChildProcess, api: ApiConnection) {
    this.#server = server
    this.#api = api
  }

  static async make(size: { services: number; nodes: number }): Promise<ServiceScene> {
    mkdirSync(dir, { recursive: true })
    execFileSync('ip', ['addr', 'replace', `${serverAddress}/32`, 'dev', 'lo'])
    const server = spawn(process.execPath, [`${import.meta.dirname}/api-server-process.ts`, dir, '10.98.0.0/20', serverAddress], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(server.stdout, 'data')
    const api = connectCluster({ kubeconfig: `${dir}/admin.kubeconfig` })
    mountServiceAccount()
    await createCluster(api, size)
    return new ServiceScene(server, api)
  }

  async run({ backend, idleSeconds, changes }: AgentRun): Promise<AgentCosts> {
    using node = new AgentNode(backend)
    await changeEndpoints(this.#api, probed, node.endpoints.slice(0, 3))
    const arrival = await node.arrivalAt(node.endpoints[0] ?? '')
    const begin = process.hrtime.bigint()
    await using agent = node.startAgent()
    const startSeconds = Number((await arrival()) - begin) / 1e9
    // What a start leaves to be done is over by then.
    await sleep(settleMs)
    const [cpu, at] = [cpuSeconds(agent.pid), performance.now()]
    await sleep(idleSeconds * 1000)
    const idlePercent = (100 * (cpuSeconds(agent.pid) - cpu)) / ((performance.now() - at) / 1000)
    const { now: megabytes, peak: peakMegabytes } = residentMegabytes(agent.pid)
    const times: number[] = []
    for (let n = 0; n < changes; n++) {
      const endpoints = node.endpoints.slice(n + 1, n + 4)
      const arrival = await node.arrivalAt(endpoints.at(-1) ?? '')
      const begin = process.hrtime.bigint()
      await changeEndpoints(this.#api, probed, endpoints)
      times.push(Number((await arrival()) - begin) / 1e9)
      await sleep(pauseMs)
    }
    return { startSeconds, megabytes, peakMegabytes, idlePercent, changes: times }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#server, 'close')
    this.#server.kill('SIGTERM')
    await gone
  }
}

/** What Kubernetes puts into every pod: the agent is measured as the DaemonSet runs it. */
function mountServiceAccount(): void {
  const kubeconfig = readFileSync(`${dir}/agent-bench.kubeconfig`, 'utf8')
  const field = (name: string): string => new RegExp(`${name}"?: "?([^"\\s]+)`).exec(kubeconfig)?.[1] ?? ''
  const account = '/run/secrets/kubernetes.io/serviceaccount'
  mkdirSync(account, { recursive: true })
  writeFileSync(`${account}/token`, field('token'))
  writeFileSync(`${account}/ca.crt`, Buffer.from(field('certificate-authority-data'), 'base64'))
}

/** A namespace whose loopback holds the endpoints. */
class AgentNode implements Disposable {
  readonly #name = 'bench-agent'
  /** As many as changes need, and no two changes the same. */
  readonly endpoints = Array.from({ length: 100 }, (_, i) => `10.250.0.${i + 1}`)

  constructor(backend: IptablesBackend) {
    execFileSync('ip', ['-batch', '-'], { input: [`netns add ${this.#name}`, `link add toagent type veth peer name uplink netns ${this.#name}`, 'addr add 192.168.99.2/24 dev toagent', 'link set toagent up', ''].join('\n') })
    const inside = ['link set lo up', 'addr add 192.168.99.1/24 dev uplink', 'link set uplink up', 'route add default via 192.168.99.2', ...this.endpoints.map((address) => `addr add ${address}/32 dev lo`), '']
    execFileSync('ip', ['-n', this.#name, '-batch', '-'], { input: inside.join('\n') })
    // What kubelet leaves: the agent takes the backend that it is in.
    this.#exec(`iptables-${backend}`, ['-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT'])
  }

  /** Begins to connect to the Service. The answer waits for the moment (ns) when a connection came to the endpoint. */
  async arrivalAt(endpoint: string): Promise<() => Promise<bigint>> {
    const probe = spawn('ip', ['netns', 'exec', this.#name, compiled('service-probe.c'), clusterIp(probed), endpoint], { stdio: ['ignore', 'pipe', 'inherit'] })
    const lines = createInterface(probe.stdout)[Symbol.asyncIterator]()
    await lines.next()
    return async () => BigInt(String((await lines.next()).value))
  }

  startAgent(): AsyncDisposable & { readonly pid: number } {
    const log = openSync(`${dir}/agent.log`, 'w')
    const args = ['agent', '--node-name', 'bench', '--cni-conf-dir', `${dir}/net.d`, '--state-dir', `${dir}/state`]
    const env = { ...process.env, KUBERNETES_SERVICE_HOST: serverAddress, KUBERNETES_SERVICE_PORT: '6443' }
    const agent = spawn('nsenter', [`--net=/run/netns/${this.#name}`, `${root}/bin/fairlead`, ...args], { stdio: ['ignore', log, log], env })
    closeSync(log)
    return {
      pid: agent.pid ?? 0,
      async [Symbol.asyncDispose]() {
        const gone = once(agent, 'close')
        agent.kill('SIGTERM')
        await gone
      },
    }
  }

  #exec(program: string, args: readonly string[]): void {
    execFileSync('ip', ['netns', 'exec', this.#name, program, ...args])
  }

  [Symbol.dispose](): void {
    // The link first: the namespace itself is taken apart later, in the background.
    execFileSync('ip', ['-batch', '-'], { input: `link del toagent\nnetns del ${this.#name}\n` })
  }
}
