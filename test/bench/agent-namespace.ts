// A node for one real agent: a namespace with a wire to where the API server is.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { serverAddress } from './api-server.ts'
import { cpuSeconds, residentMegabytes } from './process-cost.ts'

const root = `${import.meta.dirname}/../..`

export interface RunningAgent extends AsyncDisposable {
  readonly pid: number
}

export interface IdleCosts {
  readonly megabytes: number
  readonly peakMegabytes: number
  /** Of one core, in per cent, with everything that the agent starts. */
  readonly idlePercent: number
}

export class AgentNamespace implements Disposable {
  readonly name: string
  readonly #dir: string

  /** @param dir for the agent's files @param addresses that its loopback holds */
  constructor(name: string, dir: string, addresses: readonly string[] = []) {
    this.name = name
    this.#dir = dir
    execFileSync('ip', ['-batch', '-'], {
      input: [
        `netns add ${name}`,
        `link add toagent type veth peer name uplink netns ${name}`,
        'addr add 192.168.99.2/24 dev toagent',
        'link set toagent up',
        '',
      ].join('\n'),
    })
    const inside = [
      'link set lo up',
      'addr add 192.168.99.1/24 dev uplink',
      'link set uplink up',
      'route add default via 192.168.99.2',
      ...addresses.map((address) => `addr add ${address}/32 dev lo`),
      '',
    ]
    execFileSync('ip', ['-n', name, '-batch', '-'], { input: inside.join('\n') })
  }

  startAgent(): RunningAgent {
    const log = openSync(`${this.#dir}/agent.log`, 'w')
    const args = [
      'agent',
      '--node-name',
      'bench',
      '--cni-conf-dir',
      `${this.#dir}/net.d`,
      '--state-dir',
      `${this.#dir}/state`,
    ]
    const env = { ...process.env, KUBERNETES_SERVICE_HOST: serverAddress, KUBERNETES_SERVICE_PORT: '6443' }
    const agent = spawn('nsenter', [`--net=/run/netns/${this.name}`, `${root}/bin/fairlead`, ...args], {
      stdio: ['ignore', log, log],
      env,
    })
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

  /** Stdout. */
  exec(program: string, args: readonly string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.name, program, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 2 ** 28,
    })
  }

  [Symbol.dispose](): void {
    // The link first: the namespace itself is taken apart later, in the background.
    execFileSync('ip', ['-batch', '-'], { input: `link del toagent\nnetns del ${this.name}\n` })
  }
}

/** What the agent costs while nothing happens. */
export async function idleCosts({ pid }: RunningAgent, seconds: number): Promise<IdleCosts> {
  const [cpu, at] = [cpuSeconds(pid), performance.now()]
  await sleep(seconds * 1000)
  const idlePercent = (100 * (cpuSeconds(pid) - cpu)) / ((performance.now() - at) / 1000)
  const { now: megabytes, peak: peakMegabytes } = residentMegabytes(pid)
  return { megabytes, peakMegabytes, idlePercent }
}
