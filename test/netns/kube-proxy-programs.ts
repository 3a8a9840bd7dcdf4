// A kube-proxy that runs on a test's machine: played, or the real one where the variable KUBE_PROXY names its binary.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentMachine } from './agent-machine.ts'
import { until } from './agent-machine.ts'
import {
  canaries,
  chains,
  kubeProxyCleansUp,
  kubeProxyEnsuresJumps,
  kubeProxyRules,
  kubeProxySyncs,
  restore,
} from './kube-proxy-player.ts'

export type KubeProxyMode = 'iptables' | 'nftables'

export interface KubeProxy {
  /** Settles when its rules are those of the cluster. */
  start(): Promise<void>
  /** Settles when it has heard of all changes. */
  heard(): Promise<void>
  /** Its rules stay. */
  stop(): Promise<void>
  /** `kube-proxy --cleanup` */
  cleanUp(): Promise<void>
}

/** The binary of the real one. */
export const kubeProxyBinary = process.env['KUBE_PROXY']
const families = [4, 6] as const

export function kubeProxyOn(machine: AgentMachine, mode: KubeProxyMode, backend: string): KubeProxy {
  return kubeProxyBinary === undefined
    ? new PlayedKubeProxy(machine, mode, backend)
    : new RealKubeProxy(machine, kubeProxyBinary, mode, backend)
}

class PlayedKubeProxy implements KubeProxy {
  readonly #machine: AgentMachine
  readonly #mode: KubeProxyMode
  readonly #backend: string
  #metrics: ChildProcess | undefined
  #watch: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined

  constructor(machine: AgentMachine, mode: KubeProxyMode, backend: string) {
    this.#machine = machine
    this.#mode = mode
    this.#backend = backend
  }

  async start(): Promise<void> {
    await this.#cleanUp({ nftables: this.#mode === 'iptables', iptables: this.#mode === 'nftables' })
    this.#metrics = answerProxyMode(this.#machine, this.#mode)
    if (this.#mode === 'iptables') for (const family of families) await this.#createCanaries(family)
    // Until it has read the cluster.
    await sleep(500)
    await this.heard()
    if (this.#mode === 'nftables') return
    const stop = new AbortController()
    this.#watch = { stop, ended: this.#watchCanaries(stop.signal) }
  }

  async heard(): Promise<void> {
    for (const family of families)
      if (this.#mode === 'nftables')
        await this.#machine.succeed('nft', [nftTable(await kubeProxyRules(this.#machine, family), family)])
      else {
        await kubeProxyEnsuresJumps(this.#machine, this.#backend, family)
        await kubeProxySyncs(this.#machine, this.#backend, family)
      }
  }

  async stop(): Promise<void> {
    this.#watch?.stop.abort()
    await this.#watch?.ended
    this.#watch = undefined
    if (this.#metrics === undefined) return
    const gone = once(this.#metrics, 'exit')
    this.#metrics.kill('SIGKILL')
    await gone
    this.#metrics = undefined
  }

  async cleanUp(): Promise<void> {
    await this.#cleanUp({ nftables: true, iptables: true })
  }

  async #cleanUp(rules: { nftables: boolean; iptables: boolean }): Promise<void> {
    for (const family of families) {
      if (rules.iptables) await kubeProxyCleansUp(this.#machine, this.#backend, family)
      const table = `table ip${family === 4 ? '' : '6'} kube-proxy`
      if (rules.nftables) await this.#machine.succeed('nft', [`add ${table}; delete ${table}`])
    }
  }

  async #createCanaries(family: 4 | 6): Promise<void> {
    await restore(this.#machine, this.#backend, canaries, family)
  }

  /** Every 30 s, in the real one. */
  async #watchCanaries(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const family of families) {
        if ((await chains(this.#machine, this.#backend, 'mangle', family)).includes('KUBE-PROXY-CANARY')) continue
        await this.#createCanaries(family)
        await kubeProxyEnsuresJumps(this.#machine, this.#backend, family)
        await kubeProxySyncs(this.#machine, this.#backend, family)
      }
      await sleep(500, undefined, { signal }).catch(() => undefined)
    }
  }
}

/** As soon as the address is free: kube-proxy tries again every 5 s. */
function answerProxyMode(machine: AgentMachine, mode: KubeProxyMode): ChildProcess {
  const program = `const server = require('node:http').createServer((_, response) => response.end('${mode}'))
server.on('error', () => setTimeout(listen, 500))
const listen = () => server.listen(10249, '127.0.0.1')
listen()`
  return spawn('nsenter', [`--net=${machine.namespaces}/net`, '--', process.execPath, '-e', program], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** The Services of the rules, as one table whose base chains are registered anew. */
function nftTable(rules: string, family: 4 | 6): string {
  const ip = family === 4 ? 'ip' : 'ip6'
  const endpoints = new Map(
    [...rules.matchAll(/^-A (KUBE-SEP-\S+) .*--to-destination (\S+)$/gm)].map(([, chain, to]) => [chain, to]),
  )
  const services = Map.groupBy(rules.matchAll(/^-A (KUBE-SVC-\S+) .*-j (KUBE-SEP-\S+)$/gm), ([, chain]) => chain)
  const frontends = [...rules.matchAll(/^-A KUBE-SERVICES -d ([^/]+)\S* .*--dport (\d+) -j (KUBE-SVC-\S+)$/gm)]
  const translations = frontends.flatMap(([, address, port, chain]) => {
    const targets = (services.get(chain) ?? []).map(([, , endpoint]) => endpoints.get(endpoint))
    const elements = targets.map((to, i) => {
      const [, host, number] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(to ?? '') ?? []
      return `${i} : ${host} . ${number}`
    })
    return targets.length === 0
      ? []
      : [
          `${ip} daddr ${address} tcp dport ${port} dnat ${ip} to numgen random mod ${targets.length} map { ${elements.join(', ')} }`,
        ]
  })
  const table = `table ${ip} kube-proxy`
  return `add ${table}; delete ${table}; ${table} {
  chain services {
    ${translations.join('\n    ')}
  }
  chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
  chain nat-output { type nat hook output priority -100; jump services; }
}`
}

class RealKubeProxy implements KubeProxy {
  readonly #machine: AgentMachine
  readonly #binary: string
  readonly #mode: KubeProxyMode
  readonly #backend: string
  #child: ChildProcess | undefined

  constructor(machine: AgentMachine, binary: string, mode: KubeProxyMode, backend: string) {
    this.#machine = machine
    this.#binary = binary
    this.#mode = mode
    this.#backend = backend
  }

  async start(): Promise<void> {
    await this.#configure()
    const log = openSync(this.#log, 'a')
    const before = this.#syncs
    this.#child = spawn(
      'nsenter',
      [
        ...['net', 'mnt', 'pid_for_children'].map(
          (kind, i) => `--${['net', 'mount', 'pid'][i]}=${this.#machine.namespaces}/${kind}`,
        ),
        '--',
        'sh',
        '-c',
        'echo $$ >"$0"; exec "$@"',
        this.#path('kube-proxy.pid'),
        this.#binary,
        '--config',
        this.#path('kube-proxy.yaml'),
        '-v',
        '2',
      ],
      { stdio: ['ignore', log, log], env: this.#env },
    )
    closeSync(log)
    await until(() => this.#syncs >= before + families.length, 'kube-proxy to sync')
  }

  /** It hears by itself. */
  async heard(): Promise<void> {
    await sleep(0)
  }

  async stop(): Promise<void> {
    if (this.#child === undefined) return
    const gone = once(this.#child, 'exit')
    await this.#machine.run('sh', ['-c', 'kill $(cat "$0")', this.#path('kube-proxy.pid')])
    await gone
    this.#child = undefined
  }

  async cleanUp(): Promise<void> {
    await this.#configure()
    await this.#machine.run(this.#binary, ['--cleanup', '--config', this.#path('kube-proxy.yaml')], { env: this.#env })
  }

  get #log(): string {
    return this.#path('kube-proxy.log')
  }

  get #env(): NodeJS.ProcessEnv {
    return { PATH: `${this.#path('programs')}:${process.env['PATH']}`, LC_ALL: 'C' }
  }

  get #syncs(): number {
    if (!existsSync(this.#log)) return 0
    return readFileSync(this.#log, 'utf8').match(/SyncProxyRules complete/g)?.length ?? 0
  }

  #path(name: string): string {
    return join(this.#machine.dir, name)
  }

  /** It calls `iptables`, whatever backend that is. */
  async #configure(): Promise<void> {
    const links = ['iptables', 'ip6tables'].flatMap((name) =>
      ['', '-save', '-restore'].map(
        (verb) => `ln -sf $(command -v ${name}-${this.#backend}${verb}) ${this.#path('programs')}/${name}${verb}`,
      ),
    )
    await this.#machine.succeed('sh', ['-ec', [`mkdir -p ${this.#path('programs')}`, ...links].join('\n')])
    writeFileSync(
      this.#path('kube-proxy.yaml'),
      `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: { kubeconfig: ${this.#path('admin.kubeconfig')} }
mode: ${this.#mode}
hostnameOverride: n1
detectLocalMode: ClusterCIDR
clusterCIDR: 10.244.0.0/16,fd00:244::/56
conntrack: { maxPerCore: 0 }
`,
    )
  }
}
