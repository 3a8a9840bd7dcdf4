// Pods with and without UDP host ports come and go, addresses and ports pass from one to the next, and the agent is
// killed at random, under one client that keeps its source port: no pod answers at a port that it does not have, each one
// that has it is reached, and no other flow ends. FAIRLEAD_LONG makes it 10,000 pods.
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { AgentMachine, until } from './agent-machine.ts'
import { Random } from './random.ts'
import { describeKernel } from './scratch.ts'

const long = process.env['FAIRLEAD_LONG'] !== undefined
const lives = long ? 12_000 : 100
const kills = long ? 25 : 1
const workers = 8
/** Of which few are held at a time: one rests while the next pods get the address that it led to. */
const ports = Array.from({ length: long ? 24 : 12 }, (_, i) => 5301 + i)
/** All pods serve the same container port. */
const withHostPort = 0.85
/** So few addresses that the pool runs dry: the next pod gets one that has hardly rested. */
const podCidr = long ? '10.244.1.0/27' : '10.244.1.0/28'
const [nodeAddress, clientAddress, sourcePort] = ['192.168.98.1', '192.168.98.2', 40_001]

interface Life {
  readonly hostPort: number | undefined
  /** ms of the monotonic clock: when the runtime had removed the pod. */
  endedAt: number
}

const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6

class Churn implements AsyncDisposable {
  readonly machine: AgentMachine
  readonly #lives = new Map<string, Life>()
  readonly #servers: ChildProcess
  readonly #opened = new Map<string, () => void>()
  readonly #client: ChildProcess
  readonly #reached = new Set<string>()
  readonly faults: string[] = []
  answers = 0
  /** Pods whose host port was in force. */
  published = 0

  constructor(machine: AgentMachine) {
    this.machine = machine
    const program = join(machine.dir, 'udp-answerers')
    const source = join(import.meta.dirname, 'udp-answerers.c')
    execFileSync('gcc', ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source])
    this.#servers = machine.spawn([program])
    createInterface({ input: this.#servers.stdout! }).on('line', (name) => this.#opened.get(name)?.())
    const client = join(import.meta.dirname, 'steady-udp-client-process.ts')
    const options = [sourcePort, nodeAddress, ...ports].map(String)
    this.#client = machine.spawn(['ip', 'netns', 'exec', 'outside', process.execPath, client, ...options])
    createInterface({ input: this.#client.stdout! }).on('line', (line) => this.#judge(line))
  }

  /** One pod, from its sandbox's creation to its removal, as a runtime does it. */
  async live(name: string, hostPort: number | undefined, random: Random): Promise<void> {
    const life: Life = { hostPort, endedAt: Number.POSITIVE_INFINITY }
    this.#lives.set(name, life)
    const pod = { containerId: name, netns: name }
    const conf =
      hostPort === undefined
        ? {}
        : { runtimeConfig: { portMappings: [{ hostPort, containerPort: 53, protocol: 'udp' }] } }
    await this.#tell(`+${name}`)
    const { code, document } = await this.machine.cni('ADD', pod, conf)
    if (code !== 0 && code !== 11) this.faults.push(`ADD ${name}: ${JSON.stringify(document)}`)
    if (code === 0 && hostPort !== undefined) {
      this.published++
      await until(() => this.#reached.has(name), `${name} to be reached at port ${hostPort}`)
    } else await sleep(random.below(50))
    while ((await this.machine.cni('DEL', pod, conf)).code !== 0) continue
    await this.#tell(`-${name}`)
    life.endedAt = monotonicMs()
  }

  #judge(line: string): void {
    const [port, sent, , name = ''] = line.split(' ')
    const life = this.#lives.get(name)
    this.answers++
    this.#reached.add(name)
    if (life?.hostPort !== Number(port))
      this.faults.push(`${name}, which has port ${life?.hostPort}, answered at ${port}`)
    else if (Number(sent) > life.endedAt)
      this.faults.push(`${name} answered what was sent ${Number(sent) - life.endedAt} ms after its end`)
  }

  async #tell(command: string): Promise<void> {
    const name = command.slice(1)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#opened.set(name, resolve)
    this.#servers.stdin?.write(`${command}\n`)
    await promise
    this.#opened.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#client, this.#servers]) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
  }
}

/** Flows that have nothing to do with the node's host ports but their numbers; in a zone of their own, too. */
async function insertStrangers(machine: AgentMachine): Promise<void> {
  const lines = Array.from({ length: 1000 }, (_, i) => {
    const to = i % 2 === 0 ? '198.51.100.7' : nodeAddress
    const from = i % 2 === 0 ? to : '203.0.113.7'
    const client = `203.0.113.${i % 200}`
    const tuple = `-s ${client} --sport ${10_000 + i} -d ${to} --dport ${ports[i % ports.length]}`
    return `-I -p udp -t 86400 ${tuple} -r ${from} --reply-port-src 9 -q ${client} --reply-port-dst ${10_000 + i}\n`
  })
  await machine.run('sh', ['-c', 'cat | conntrack -R -'], { input: lines.join('') })
}

async function strangers(machine: AgentMachine): Promise<number> {
  const listed = await machine.succeed('conntrack', ['-L', '-p', 'udp'])
  return listed.split('\n').filter((line) => /src=203\.0\.113\.\d+ dst=\S+ sport=1\d{4} /.test(line)).length
}

describeKernel('UDP host ports under one client', () => {
  test(
    `${lives} pods come and go, the agent is killed ${kills} times`,
    async () => {
      const random = new Random()
      console.log(`seed ${random.seed}: TEST_SEED=${random.seed} runs it again`)
      await using machine = await AgentMachine.start(podCidr)
      await machine.succeed('sh', [
        '-c',
        `ip netns add outside; ip link add to-outside type veth peer name eth0 netns outside
ip addr add ${nodeAddress}/24 dev to-outside; ip link set to-outside up; ip -n outside addr add ${clientAddress}/24 dev eth0; ip -n outside link set eth0 up`,
      ])
      machine.startAgent()
      await machine.ready()
      await insertStrangers(machine)
      await using churn = new Churn(machine)
      const fatal = new Set(Array.from({ length: kills }, () => random.below(lives)))
      let next = 0
      const restarts: Promise<void>[] = []
      const restart = async (earlier: Promise<void> | undefined): Promise<void> => {
        await earlier
        await machine.killAgent()
        machine.startAgent()
        await machine.ready()
      }
      const free = new Set(ports)
      const work = async (): Promise<void> => {
        while (next < lives) {
          const n = next++
          if (fatal.has(n)) restarts.push(restart(restarts.at(-1)))
          const hostPort = random.chance(withHostPort) ? random.pick([...free]) : undefined
          if (hostPort !== undefined) free.delete(hostPort)
          await churn.live(`p${n}`, hostPort, random)
          if (hostPort !== undefined) free.add(hostPort)
        }
      }
      const begin = performance.now()
      await Promise.all(Array.from({ length: workers }, work))
      await Promise.all(restarts)
      console.log(
        `${lives} pods, ${churn.published} with host ports, and ${fatal.size} kills in ${Math.round((performance.now() - begin) / 1000)} s, ${churn.answers} answers`,
      )
      expect(churn.faults.slice(0, 20)).toEqual([])
      expect(await strangers(machine)).toBe(1000)
    },
    long ? 7_200_000 : 300_000,
  )
})
