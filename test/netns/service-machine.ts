// A machine whose agent serves Services at an endpoint of its own: client and server in namespaces with the node
// between them, for tests of rules under damage.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { AgentMachine } from './agent-machine.ts'
import { rules } from './kube-proxy-player.ts'

/** How the agent tells pods from others here. */
export const detectLocalFlags = ['--detect-local', 'clusterCIDR', '--cluster-cidr', '10.244.0.0/16']

/** kubelet's chains; a client and a server in namespaces of their own, with the node between them. */
const surroundings = (backend: string): string => `set -e
iptables-${backend} -t mangle -N KUBE-KUBELET-CANARY
iptables-${backend} -t mangle -N KUBE-IPTABLES-HINT
echo 1 >/proc/sys/net/ipv4/ip_forward
for n in 1 2; do
  name=$([ $n = 1 ] && echo client || echo server)
  ip netns add $name
  ip link add to-$name type veth peer name eth0 netns $name
  ip addr add 10.99.$n.1/24 dev to-$name
  ip link set to-$name up
  ip -n $name addr add 10.99.$n.2/24 dev eth0
  ip -n $name link set eth0 up
  ip -n $name route add default via 10.99.$n.1
done`

/** Rules of Services will go to this backend. The agent is not started. */
export async function serviceMachine(backend: string): Promise<AgentMachine> {
  const machine = await AgentMachine.start()
  await machine.succeed('sh', ['-c', surroundings(backend)])
  return machine
}

/** Says hello at 10.99.2.2:8080. */
export function echoServer(machine: AgentMachine): AsyncDisposable {
  const child = inNamespace(machine, 'server', [
    'socat',
    'TCP-LISTEN:8080,fork,reuseaddr,backlog=64',
    'SYSTEM:echo hello',
  ])
  return { [Symbol.asyncDispose]: async () => end(child) }
}

/** Services of these numbers below 500, 10.254.1.N:80 and on, all served at 10.99.2.2:8080. */
export async function addServices(machine: AgentMachine, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    await machine.api(
      'POST',
      servicesPath,
      service(`s${n}`, { clusterIP: addressOf(n), ports: [{ port: 80, targetPort: 8080 }] }),
    )
    await machine.api('POST', slicesPath, slice(`s${n}`, ['10.99.2.2']))
  }
}

export const servicesPath = '/api/v1/namespaces/default/services'
export const slicesPath = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'

/** The cluster IP of a Service that {@link addServices} has made. */
export function addressOf(n: number): string {
  return `10.254.${1 + Math.floor(n / 250)}.${n % 250}`
}

export function service(name: string, spec: object): object {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec }
}

/** SERVICE-1, with port 8080. */
export function slice(of: string, addresses: readonly string[], more: object = {}): object {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${of}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ...more,
  }
}

/** Rules of the Service and its endpoint with their counters. */
export async function countersOf(machine: AgentMachine, backend: string, service: string): Promise<string[]> {
  return (await rules(machine, backend, 'nat', ['-c'])).filter((line) => line.includes(`"default/${service}`))
}

/** Runs in a namespace of the machine, until it is killed. */
function inNamespace(machine: AgentMachine, namespace: string, command: readonly string[]): ChildProcess {
  return spawn('nsenter', [`--net=${machine.path(`/run/netns/${namespace}`)}`, '--', ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

export class SteadyClient implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(machine: AgentMachine, address: string) {
    this.#child = inNamespace(machine, 'client', [
      process.execPath,
      join(import.meta.dirname, 'steady-client-process.ts'),
      address,
      '80',
    ])
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
  }

  async started(): Promise<void> {
    await this.#lines.next()
  }

  async stop(): Promise<{ answered: number; failures: string[] }> {
    this.#child.kill('SIGTERM')
    return JSON.parse(String((await this.#lines.next()).value)) as { answered: number; failures: string[] }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child)
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** Texts that the agent gave to iptables-restore for IPv4, as its log at debug has them. */
export function written(machine: AgentMachine, backend: string): string[] {
  const lines = readFileSync(join(machine.dir, 'agent.log'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { msg: string; input?: string })
  return lines.filter(({ msg }) => msg.startsWith(`iptables-${backend}-restore`)).flatMap(({ input }) => input ?? [])
}
