// A node whose Services change hands: two servers behind 70 Services of both families, and clients that connect to one
// of them at a steady rate.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, vi } from 'vitest'
import type { AgentMachine } from './agent-machine.ts'
import { addressOf, service, serviceMachine, slice } from './service-machine.ts'

/** Addresses of both servers. */
export const servers = { 4: ['10.99.2.2', '10.99.2.3'], 6: ['fd00:99:2::2', 'fd00:99:2::3'] } as const
/** So that the agent lays them out as a tree. */
const count = 70

const surroundings = `set -e
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
ip addr add fd00:99::1/64 dev uplink nodad
for n in 1 2; do
  name=$([ $n = 1 ] && echo client || echo server)
  ip addr add fd00:99:$n::1/64 dev to-$name nodad
  ip -n $name addr add fd00:99:$n::2/64 dev eth0 nodad
  ip -n $name route add default via fd00:99:$n::1
done
ip -n server addr add 10.99.2.3/24 dev eth0
ip -n server addr add fd00:99:2::3/64 dev eth0 nodad
# What no rule translates is lost on its way to nowhere.
ip neigh add 192.168.99.254 lladdr 02:00:00:00:00:99 dev uplink nud permanent
ip route add default via 192.168.99.254
ip neigh add fd00:99::fe lladdr 02:00:00:00:00:99 dev uplink nud permanent
ip -6 route add default via fd00:99::fe dev uplink`

export async function handOverMachine(backend: string): Promise<AgentMachine> {
  const machine = await serviceMachine(backend)
  await machine.succeed('sh', ['-c', surroundings])
  await machine.store({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1', uid: 'n1' },
    spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd00:244:0:1::/64'] },
    status: {
      addresses: ['192.168.99.1', 'fd00:99::1'].map((address) => ({ type: 'InternalIP', address })),
    },
  })
  for (let n = 1; n <= count; n++) {
    const [four, six] = [addressOf(n), addressOfSix(n)]
    await machine.store(
      service(`s${n}`, {
        clusterIP: four,
        clusterIPs: [four, six],
        ipFamilies: ['IPv4', 'IPv6'],
        ipFamilyPolicy: 'RequireDualStack',
        ports: [{ port: 80, targetPort: 8080, protocol: 'TCP' }],
      }),
    )
    await serveAt(machine, n, [0, 1])
  }
  return machine
}

/** The cluster IP of Service `n` in IPv6. */
export function addressOfSix(n: number): string {
  return `fd00:254::${n.toString(16)}`
}

/** Gives Service `n` these of the servers as its endpoints, in both families. */
export async function serveAt(machine: AgentMachine, n: number, which: readonly (0 | 1)[]): Promise<void> {
  for (const family of [4, 6] as const) {
    const own = slice(
      `s${n}`,
      which.map((i) => servers[family][i]),
      { addressType: `IPv${family}` },
    ) as { metadata: { name: string } }
    const metadata = { ...own.metadata, name: `s${n}-v${family}`, uid: `s${n}-v${family}` }
    await machine.store({ ...own, metadata })
  }
}

/** Waits until Service 2 is answered by this server alone, in both families. */
export async function followed(machine: AgentMachine, which: 0 | 1): Promise<void> {
  const ask = async (address: string): Promise<string> => {
    const words = ['netns', 'exec', 'client', 'socat', '-t2', '-', `TCP:${address}:80,connect-timeout=1`]
    const { stdout } = await machine.run('ip', words, { input: '?\n' })
    return stdout === '' ? '' : (JSON.parse(stdout) as { pod: string }).pod
  }
  for (const family of [4, 6] as const) {
    const address = family === 4 ? addressOf(2) : `[${addressOfSix(2)}]`
    await vi.waitFor(
      async () => {
        const answers = await Promise.all(Array.from({ length: 8 }, async () => ask(address)))
        expect(new Set(answers)).toEqual(new Set([servers[family][which]]))
      },
      { timeout: 60_000, interval: 200 },
    )
  }
}

/** Both servers, each of which answers with its own address. */
export function startServers(machine: AgentMachine): AsyncDisposable {
  const program = `require('node:net').createServer((socket) => {
  socket.on('error', () => undefined)
  socket.once('data', () => socket.end(JSON.stringify({ pod: socket.localAddress.replace('::ffff:', '') }) + '\\n'))
}).listen({ host: '::', port: 8080, backlog: 4096 })`
  const child = spawn(
    'nsenter',
    [`--net=${machine.path('/run/netns/server')}`, '--', process.execPath, '-e', program],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  return { [Symbol.asyncDispose]: async () => end(child) }
}

interface LoadResult {
  readonly asked: number
  readonly late: number
  readonly failures: readonly string[]
}

/** Clients of Service 1: three of ten connections go over IPv6, and two come from the node itself. */
export class Clients implements AsyncDisposable {
  readonly #children: readonly ChildProcess[]
  readonly #lines: readonly AsyncIterator<string>[]

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children
    this.#lines = children.map((child) => createInterface({ input: child.stdout! })[Symbol.asyncIterator]())
  }

  /** @param rate connections a second of all together */
  static async start(machine: AgentMachine, rate: number): Promise<Clients> {
    const client = machine.path('/run/netns/client')
    const node = `${machine.namespaces}/net`
    const clients = new Clients(
      (
        [
          [client, addressOf(1), 0.5],
          [client, addressOfSix(1), 0.3],
          [node, addressOf(1), 0.2],
        ] as const
      ).map(([netns, address, share]) =>
        spawn(
          'nsenter',
          [
            `--net=${netns}`,
            '--',
            process.execPath,
            join(import.meta.dirname, 'steady-load-process.ts'),
            address,
            '80',
            String(rate * share),
          ],
          { stdio: ['pipe', 'pipe', 'inherit'] },
        ),
      ),
    )
    await Promise.all(clients.#lines.map(async (lines) => lines.next()))
    return clients
  }

  /** Waits for the last answers. @returns the sums, and failures with their counts */
  async stop(): Promise<{ asked: number; late: number; failures: Readonly<Record<string, number>> }> {
    for (const child of this.#children) child.stdin!.end()
    const results = await Promise.all(
      this.#lines.map(async (lines) => JSON.parse(String((await lines.next()).value)) as LoadResult),
    )
    const failures: Record<string, number> = {}
    for (const failure of results.flatMap((each) => each.failures)) failures[failure] = (failures[failure] ?? 0) + 1
    return {
      asked: results.reduce((sum, { asked }) => sum + asked, 0),
      late: results.reduce((sum, { late }) => sum + late, 0),
      failures,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map(end))
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
