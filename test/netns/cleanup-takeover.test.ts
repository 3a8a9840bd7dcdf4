// A node changes hands: from a kube-proxy to the agent and back, while a client connects through a Service without pause.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { addServices, canaries, chains, kubeProxyCleansUp, kubeProxyRules, kubeProxySyncs, restore, rules } from './kube-proxy-player.ts'
import { describeKernel } from './scratch.ts'

const fairlead = join(import.meta.dirname, '../../bin/fairlead')
const flags = ['--detect-local', 'clusterCIDR', '--cluster-cidr', '10.244.0.0/16', '--log-level', 'debug']

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

/** Rules of the Service and its endpoint with their counters. */
async function countersOf(machine: AgentMachine, backend: string, service: string): Promise<string[]> {
  return (await rules(machine, backend, 'nat', ['-c'])).filter((line) => line.includes(`"default/${service}`))
}

/** Runs in a namespace of the machine, until it is killed. */
function inNamespace(machine: AgentMachine, namespace: string, command: readonly string[]): ChildProcess {
  return spawn('nsenter', [`--net=${machine.path(`/run/netns/${namespace}`)}`, '--', ...command], { stdio: ['ignore', 'pipe', 'inherit'] })
}

class SteadyClient implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(machine: AgentMachine, address: string) {
    this.#child = inNamespace(machine, 'client', [process.execPath, join(import.meta.dirname, 'steady-client-process.ts'), address, '80'])
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
function written(machine: AgentMachine, backend: string): string[] {
  const lines = readFileSync(join(machine.dir, 'agent.log'), 'utf8').split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as { msg: string; input?: string })
  return lines.filter(({ msg }) => msg.startsWith(`iptables-${backend}-restore`)).flatMap(({ input }) => input ?? [])
}

describeKernel('a node that changes hands', () => {
  test.each(['nft', 'legacy'])('from kube-proxy to the agent and back: no connection fails, and chains that are right already are not written: %s', { timeout: 120_000 }, async (backend) => {
    await using machine = await AgentMachine.start()
    await machine.succeed('sh', ['-c', surroundings(backend)])
    await using stack = new AsyncDisposableStack()
    const server = stack.adopt(inNamespace(machine, 'server', ['socat', 'TCP-LISTEN:8080,fork,reuseaddr,backlog=64', 'SYSTEM:echo hello']), end)
    expect(server.pid).toBeGreaterThan(0)
    await addServices(machine, 1, 3)
    await restore(machine, backend, (await kubeProxyRules(machine)) + canaries)
    const ask = (address: string) => machine.run('ip', ['netns', 'exec', 'client', 'socat', '-T2', '-u', `TCP:${address}:80,connect-timeout=1`, '-'])
    await vi.waitFor(async () => expect((await ask('10.254.1.1')).stdout).toBe('hello\n'), { timeout: 10_000 })

    // Counters of a Service that is used before and not while the node is taken over.
    await ask('10.254.1.2')
    await ask('10.254.1.2')
    const used = await countersOf(machine, backend, 's2')
    expect(used.filter((line) => line.startsWith('[2:'))).not.toEqual([])
    const proxied = { nat: await rules(machine, backend, 'nat'), filter: await rules(machine, backend, 'filter') }

    const client = stack.use(new SteadyClient(machine, '10.254.1.1'))
    await client.started()
    machine.startAgent({ flags })
    await machine.ready()
    await vi.waitFor(async () => expect(await chains(machine, backend, 'mangle')).toContain('FAIRLEAD-SERVICES'), { timeout: 20_000, interval: 100 })
    expect(await countersOf(machine, backend, 's2')).toEqual(used)
    expect(written(machine, backend).join('')).toContain(':FAIRLEAD-SERVICES')
    expect(written(machine, backend).flatMap((text) => text.match(/^(:|-A |-I |-D )\S*KUBE-.*/gm) ?? [])).toEqual([])
    for (const table of ['nat', 'filter'] as const) expect((await rules(machine, backend, table)).filter((rule) => rule.includes('KUBE-') && !rule.includes('FAIRLEAD'))).toEqual(proxied[table])

    // The agent goes on in its own layout.
    await addServices(machine, 4, 70)
    await vi.waitFor(async () => expect((await rules(machine, backend, 'nat')).filter((rule) => /KUBE-SVC-CIP-.*default\/s70 /.test(rule))).not.toEqual([]), { timeout: 20_000, interval: 100 })
    expect((await ask('10.254.1.70')).stdout).toBe('hello\n')

    // And back.
    await machine.killAgent('TERM')
    const released = await machine.run(fairlead, ['cleanup', '--keep-services', '--cni-bin-dir', `${machine.dir}/bin`, '--cni-conf-dir', `${machine.dir}/net.d`])
    expect([released.exitCode, released.stderr]).toEqual([0, ''])
    expect(released.stdout).toContain('(--keep-services): start kube-proxy')
    expect((await kubeProxySyncs(machine, backend)).filter((chain) => chain.startsWith('KUBE-SVC-CIP'))).not.toEqual([])
    expect((await ask('10.254.1.70')).stdout).toBe('hello\n')
    const { answered, failures } = await client.stop()
    expect(failures).toEqual([])
    expect(answered).toBeGreaterThan(100)

    // What kube-proxy has now is its own: our cleanup lets it be, and its own leaves nothing but what kubelet has too.
    const again = await machine.run(fairlead, ['cleanup', '--dry-run', '--cni-bin-dir', `${machine.dir}/bin`, '--cni-conf-dir', `${machine.dir}/net.d`])
    expect(again.stdout).toBe('# nothing of Fairlead is left to remove on this node\n')
    await kubeProxyCleansUp(machine, backend)
    for (const table of ['nat', 'filter', 'mangle']) expect((await chains(machine, backend, table)).filter((chain) => /^(KUBE|FAIRLEAD)-/.test(chain) && !['KUBE-FIREWALL', 'KUBE-KUBELET-CANARY', 'KUBE-IPTABLES-HINT'].includes(chain))).toEqual([])
  })

  test.each(['nft', 'legacy'])("kube-proxy's own cleanup removes every chain of our layout of Services: %s", { timeout: 120_000 }, async (backend) => {
    await using machine = await AgentMachine.start()
    await machine.succeed('sh', ['-c', surroundings(backend)])
    await addServices(machine, 1, 70)
    machine.startAgent({ flags })
    await machine.ready()
    await vi.waitFor(async () => expect((await rules(machine, backend, 'nat')).filter((rule) => /KUBE-SVC-CIP-.*default\/s70 /.test(rule))).not.toEqual([]), { timeout: 20_000, interval: 100 })
    await machine.killAgent('TERM')
    await kubeProxyCleansUp(machine, backend)
    const left = (await Promise.all(['nat', 'filter', 'mangle'].map(async (table) => chains(machine, backend, table)))).flat()
    expect(left.filter((chain) => chain.startsWith('KUBE-')).toSorted()).toEqual(['KUBE-FIREWALL', 'KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'])
  })
})
