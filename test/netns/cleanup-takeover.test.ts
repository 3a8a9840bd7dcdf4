// A node changes hands: from a kube-proxy to the agent and back, while a client connects through a Service without pause. kube-proxy is played by its rules, word for word (the flat
// layout is compared with its golden files elsewhere), and by what its full sync and its --cleanup do to chains.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test, vi } from 'vitest'
import { parseCidr } from '../../src/net/cidr.ts'
import type { Manifest } from '../../src/services/manifests.ts'
import { defaultOptions } from '../../src/services/options.ts'
import { renderManifests } from '../../src/services/render-manifests.ts'
import { tableText } from '../../src/services/table-text.ts'
import { AgentMachine } from './agent-machine.ts'
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

/** Services of this number, 10.254.1.N:80, all served at 10.99.2.2:8080. */
async function addServices(machine: AgentMachine, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    await machine.api('POST', '/api/v1/namespaces/default/services', { apiVersion: 'v1', kind: 'Service', metadata: { name: `s${n}` }, spec: { clusterIP: `10.254.1.${n}`, ports: [{ port: 80, targetPort: 8080 }] } })
    await machine.api('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: `s${n}-1`, labels: { 'kubernetes.io/service-name': `s${n}` } }, addressType: 'IPv4',
      ports: [{ name: '', port: 8080, protocol: 'TCP' }], endpoints: [{ addresses: ['10.99.2.2'], conditions: { ready: true } }],
    })
  }
}

/** What kube-proxy writes for the objects that the API server has. */
async function kubeProxyRules(machine: AgentMachine): Promise<string> {
  const list = async (path: string, kind: string) => ((await machine.api('GET', path)) as { items: object[] }).items.map((item) => ({ ...item, kind }) as unknown as Manifest)
  const objects = [...(await list('/api/v1/services', 'Service')), ...(await list('/apis/discovery.k8s.io/v1/endpointslices', 'EndpointSlice')), ...(await list('/api/v1/nodes', 'Node'))]
  const { families } = renderManifests(objects, 'n1', { ...defaultOptions, layout: 'flat', detectLocal: { by: 'clusterCidr', cidrs: [clusterCidr] } })
  return families.filter(({ family }) => family === 4).map(({ rules }) => tableText(rules)).join('')
}

const clusterCidr = parseCidr('10.244.0.0/16')
const canaries = ['mangle', 'nat', 'filter'].map((table) => `*${table}\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n`).join('')
/** All that its garbage collection and its --cleanup take for kube-proxy's in table nat (reference: services 1.1, 3.7). */
const fivePrefixes = /^KUBE-(SVC|SVL|EXT|FW|SEP)-/

/** kube-proxy's first sync on a node: all of its chains anew, and those with its prefixes that it does not know removed, in one restore. */
async function kubeProxySyncs(machine: AgentMachine, backend: string): Promise<void> {
  const wanted = await kubeProxyRules(machine)
  const withoutJumps = wanted.split('\n').filter((line) => !/^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) /.test(line))
  const stale = (await chains(machine, backend, 'nat')).filter((chain) => fivePrefixes.test(chain) && !wanted.includes(`:${chain} `))
  const text = withoutJumps.join('\n').replace(/COMMIT\n$/, `${stale.map((chain) => `-X ${chain}\n`).join('')}COMMIT\n`).replace('*nat\n', `*nat\n${stale.map((chain) => `:${chain} - [0:0]\n`).join('')}`)
  expect(stale.filter((chain) => chain.startsWith('KUBE-SVC-CIP'))).not.toEqual([])
  await restore(machine, backend, text)
}

/** `kube-proxy --cleanup`. */
async function kubeProxyCleansUp(machine: AgentMachine, backend: string): Promise<void> {
  const named: Readonly<Record<string, readonly string[]>> = {
    filter: ['KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES', 'KUBE-FORWARD', 'KUBE-NODEPORTS', 'KUBE-PROXY-FIREWALL', 'KUBE-PROXY-CANARY'],
    nat: ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ', 'KUBE-PROXY-CANARY'],
    mangle: ['KUBE-PROXY-CANARY'],
  }
  for (const [table, names] of Object.entries(named)) {
    const going = (await chains(machine, backend, table)).filter((chain) => names.includes(chain) || (table === 'nat' && fivePrefixes.test(chain)))
    const jumps = (await rules(machine, backend, table)).filter((rule) => /^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) /.test(rule) && names.some((name) => rule.endsWith(` -j ${name}`)))
    await restore(machine, backend, [`*${table}`, ...going.map((chain) => `:${chain} - [0:0]`), ...jumps.map((jump) => jump.replace('-A', '-D')), ...going.map((chain) => `-X ${chain}`), 'COMMIT', ''].join('\n'))
  }
}

async function restore(machine: AgentMachine, backend: string, input: string): Promise<void> {
  const { exitCode, stderr } = await machine.run(`iptables-${backend}-restore`, ['--noflush'], { input })
  expect([exitCode, stderr]).toEqual([0, ''])
}

/** As iptables-save prints them, with counters where asked. */
async function rules(machine: AgentMachine, backend: string, table: string, options: readonly string[] = []): Promise<string[]> {
  return (await machine.succeed(`iptables-${backend}-save`, ['-t', table, ...options])).split('\n').filter((line) => /^(\[\d+:\d+\] )?-A /.test(line))
}

async function chains(machine: AgentMachine, backend: string, table: string): Promise<string[]> {
  return (await machine.succeed(`iptables-${backend}-save`, ['-t', table])).match(/(?<=^:)\S+/gm) ?? []
}

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
    await kubeProxySyncs(machine, backend)
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
