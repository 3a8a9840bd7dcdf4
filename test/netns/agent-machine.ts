// A machine of its own for one real agent: network, mount and pid namespaces with an empty /run and /var/lib and an API
// server on loopback. Runtimes are played by calls of the real CNI binary. All of it ends with its PID 1.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { testProgram } from '../bundled-programs.ts'

const root = join(import.meta.dirname, '../..')
export const cniBinary = join(root, 'dist/fairlead-cni')
const nodeName = 'n1'
/** stdin of a background job would be /dev/null. */
const initScript = `
set -e
umount -n -R -l /run/netns 2>/dev/null || true
mount -n -t tmpfs -o mode=755 tmpfs /run
mount -n -t tmpfs -o mode=755 tmpfs /var/lib
mount -n -t sysfs sysfs /sys
ip link set lo up
ip link add uplink type veth peer name elsewhere
ip addr add 192.168.99.1/24 dev uplink
ip link set elsewhere up
ip link set uplink up
exec 3<&0
"$@" <&3 &
wait $!
`

export interface Pod {
  readonly containerId: string
  /** Path, or name of a namespace below /run/netns. */
  readonly netns?: string
}

export interface CniAnswer {
  /** The document's code; 0 for success. */
  readonly code: number
  readonly document: { code?: number; msg?: string; details?: string; ips?: { address: string }[] }
  readonly exitCode: number | null
}

export interface Ran {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface AgentOptions {
  /** False leaves the agent to find what a pod finds. */
  readonly kubeconfig?: boolean
  readonly flags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** What leads the command: ["unshare", "--mount", ...]. */
  readonly lead?: readonly string[]
}

export class AgentMachine implements AsyncDisposable {
  /** Seen under the same path inside: kubeconfig, log and the directory of CNI configurations. */
  readonly dir: string
  readonly #init: ChildProcess
  readonly #answers: AsyncIterator<string>
  #agent: ChildProcess | undefined

  private constructor(dir: string, init: ChildProcess, answers: AsyncIterator<string>) {
    this.dir = dir
    this.#init = init
    this.#answers = answers
  }

  /** With one Node of this podCIDR; without one where null. */
  static async start(podCidr: string | null = '10.244.1.0/24'): Promise<AgentMachine> {
    const dir = mkdtempSync(join(tmpdir(), 'ft-machine-'))
    const isolate = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private']
    const init = spawn(
      'unshare',
      [...isolate, 'sh', '-c', initScript, 'sh', process.execPath, testProgram('netns/machine-api-process.ts'), dir],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    init.stdin.on('error', () => undefined)
    const answers = createInterface({ input: init.stdout })[Symbol.asyncIterator]()
    const machine = new AgentMachine(dir, init, answers)
    if ((await answers.next()).done === true) throw new Error('the API server of the machine ended')
    if (podCidr !== null) await machine.putNode(podCidr)
    return machine
  }

  get conflist(): string {
    return join(this.dir, 'net.d/05-fairlead.conflist')
  }

  /** A path of the machine's as this process can open it. */
  path(inside: string): string {
    return `/proc/${this.#init.pid}/root${inside}`
  }

  /** The directory of its namespaces, for nsenter. */
  get namespaces(): string {
    return `/proc/${this.#init.pid}/ns`
  }

  /** What the agents have logged, one object a line. */
  get log(): { level: number; msg: string; restored?: string[]; command?: string; rules?: string[] }[] {
    return readFileSync(join(this.dir, 'agent.log'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { level: number; msg: string })
  }

  /** Sentences that a person has to read: warnings and worse. */
  get warnings(): string[] {
    return this.log.filter(({ level }) => level >= 40).map(({ msg }) => msg)
  }

  async api(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<unknown> {
    return await this.#ask(method, path, body)
  }

  /** Puts an object into what the API server holds as it is, whatever that would say to it. */
  async store(object: object): Promise<void> {
    await this.#ask('STORE', '', object)
  }

  /** The Node anew, as an administrator does who changes what is immutable. */
  async putNode(
    podCidr: string | undefined,
    name = nodeName,
    address = '192.168.99.1',
    conditions: readonly object[] = [],
  ): Promise<void> {
    await this.api('DELETE', `/api/v1/nodes/${name}`).catch(() => undefined)
    const spec = podCidr === undefined ? {} : { podCIDR: podCidr, podCIDRs: [podCidr] }
    await this.api('POST', '/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      spec,
      status: { addresses: [{ type: 'InternalIP', address }], conditions },
    })
  }

  /** Started; {@link ready} waits until it serves. */
  startAgent({ kubeconfig = true, flags = [], env = {}, lead = [] }: AgentOptions = {}): void {
    const command = [
      'agent',
      '--node-name',
      nodeName,
      ...(kubeconfig ? ['--kubeconfig', `${this.dir}/admin.kubeconfig`] : []),
      '--cni-conf-dir',
      `${this.dir}/net.d`,
      ...flags,
    ]
    const log = openSync(join(this.dir, 'agent.log'), 'a')
    this.#agent = this.#spawn(
      [
        'sh',
        '-c',
        'echo $$ > "$0"; exec "$@"',
        join(this.dir, 'agent.pid'),
        ...lead,
        join(root, 'bin/fairlead'),
        ...command,
      ],
      { stdio: ['ignore', log, log], env },
    )
    closeSync(log)
  }

  /** Its API server may have been away: then an agent waits up to 30 s until it asks again. */
  async ready(): Promise<void> {
    await until(async () => {
      if (this.#agent?.exitCode !== null)
        throw new Error(`the agent ended: ${readFileSync(join(this.dir, 'agent.log'), 'utf8').slice(-2000)}`)
      return existsSync(this.conflist) && (await this.cni('STATUS')).code === 0
    }, 'the agent to be ready')
  }

  /** kill -9 by the kernel's own measure: returns when the process is gone. */
  async killAgent(signal: 'KILL' | 'TERM' = 'KILL'): Promise<void> {
    const agent = this.#agent
    if (agent === undefined) return
    const gone = agent.exitCode === null && agent.signalCode === null ? once(agent, 'close') : Promise.resolve()
    await this.run('kill', [`-${signal}`, readFileSync(join(this.dir, 'agent.pid'), 'utf8').trim()])
    await gone
    this.#agent = undefined
  }

  /** As it was before the first agent started, but for the objects of the API server. */
  async reset(): Promise<void> {
    await this.killAgent()
    await this.succeed('sh', [
      '-c',
      'ip -all netns delete; for link in cni0 fairlead.1; do ip link del $link 2>/dev/null; done; rm -rf /run/fairlead "$0"/net.d "$0"/agent.log',
      this.dir,
    ])
  }

  /** One execution of the CNI binary, as a runtime does it. */
  async cni(command: string, pod: Pod = { containerId: 'none' }, conf: object = {}): Promise<CniAnswer> {
    const netns = pod.netns === undefined || pod.netns.startsWith('/') ? (pod.netns ?? '') : `/run/netns/${pod.netns}`
    const container =
      command === 'STATUS' || command === 'GC'
        ? {}
        : {
            CNI_CONTAINERID: pod.containerId,
            CNI_NETNS: netns,
            CNI_IFNAME: 'eth0',
            CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.containerId}`,
          }
    const input = JSON.stringify({ cniVersion: '1.1.0', name: 'fairlead', type: 'fairlead-cni', ...conf })
    const { exitCode, stdout, stderr } = await this.run(cniBinary, [], {
      env: { CNI_COMMAND: command, CNI_PATH: '/opt/cni/bin', ...container },
      input,
    })
    const document = stdout === '' ? {} : (JSON.parse(stdout) as CniAnswer['document'])
    if (exitCode !== 0 && document.code === undefined)
      throw new Error(`fairlead-cni ${command} ended with ${exitCode} and no code: ${stdout}${stderr}`)
    return { exitCode, code: exitCode === 0 ? 0 : (document.code ?? -1), document }
  }

  async metrics(): Promise<string> {
    return (await this.run('socat', ['-t10', '-', 'TCP:127.0.0.1:10249'], { input: 'GET /metrics HTTP/1.0\r\n\r\n' }))
      .stdout
  }

  async addPodNamespace(name: string): Promise<void> {
    await this.succeed('ip', ['netns', 'add', name])
  }

  async removePodNamespace(name: string): Promise<void> {
    await this.succeed('ip', ['netns', 'del', name])
  }

  /** Stdout. @throws {Error} when it fails. */
  async succeed(program: string, args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(program, args)
    if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
    return stdout
  }

  /** Runs a program on the machine. */
  async run(
    program: string,
    args: readonly string[],
    { env = {}, input = '' }: { env?: NodeJS.ProcessEnv; input?: string } = {},
  ): Promise<Ran> {
    const child = this.#spawn([program, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env })
    child.stdin?.on('error', () => undefined).end(input)
    let [stdout, stderr] = ['', '']
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const [exitCode] = (await once(child, 'close')) as [number | null]
    return { exitCode, stdout, stderr }
  }

  /** Starts a program on the machine that ends with the machine at the latest; its stderr is the test's. */
  spawn(command: readonly string[]): ChildProcess {
    return this.#spawn(command, { stdio: ['pipe', 'pipe', 'inherit'], env: {} })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#init, 'close')
    this.#init.kill('SIGKILL')
    await gone
    rmSync(this.dir, { recursive: true, force: true })
  }

  async #ask(method: string, path: string, body: object | undefined): Promise<unknown> {
    this.#init.stdin?.write(`${JSON.stringify({ method, path, body })}\n`)
    const answer = JSON.parse(String((await this.#answers.next()).value)) as { status: number; body?: unknown }
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${String(answer.body)}`)
    return answer.body
  }

  #spawn(
    command: readonly string[],
    options: { stdio: Parameters<typeof spawn>[2]['stdio']; env: NodeJS.ProcessEnv },
  ): ChildProcess {
    const of = this.namespaces
    return spawn(
      'nsenter',
      [`--net=${of}/net`, `--mount=${of}/mnt`, `--pid=${of}/pid_for_children`, '--', ...command],
      { stdio: options.stdio, env: { PATH: process.env['PATH'], LC_ALL: 'C', ...options.env } },
    )
  }
}

/**
 * Polls.
 * @returns how long it took, ms.
 * @throws {Error} after the deadline, which is generous: it bounds, it does not measure.
 */
export async function until(
  condition: () => Promise<boolean> | boolean,
  what: string,
  deadlineMs = 60_000,
): Promise<number> {
  const begin = performance.now()
  for (;;) {
    if (await condition()) return Math.round(performance.now() - begin)
    if (performance.now() - begin > deadlineMs) throw new Error(`waited ${deadlineMs / 1000} s for ${what}`)
    await sleep(50)
  }
}
