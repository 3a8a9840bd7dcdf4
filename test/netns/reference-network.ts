// A pod network of the reference plugins (Debian's bridge, host-local and portmap), played as a runtime and its libcni
// play it: one plugin after the other, the result recorded.
import type { AgentMachine } from './agent-machine.ts'

export const referencePlugins = '/usr/lib/cni'
const network = 'old'
const records = '/var/lib/cni/results'

export class ReferenceNetwork {
  readonly #machine: AgentMachine
  readonly #subnet: string
  readonly #env: NodeJS.ProcessEnv

  private constructor(machine: AgentMachine, subnet: string, env: NodeJS.ProcessEnv) {
    this.#machine = machine
    this.#subnet = subnet
    this.#env = env
  }

  /** @param backend whose rules the plugins write: they run whatever `iptables` is on PATH */
  static async on(machine: AgentMachine, subnet: string, backend: 'nft' | 'legacy' = 'nft'): Promise<ReferenceNetwork> {
    const directory = `${machine.dir}/iptables-${backend}`
    const links = ['iptables', 'ip6tables'].map(
      (program) => `ln -sfn "$(command -v ${program}-${backend})" ${directory}/${program}`,
    )
    await machine.succeed('sh', ['-ec', [`mkdir -p ${directory} ${records}`, ...links].join('\n')])
    return new ReferenceNetwork(machine, subnet, { PATH: `${directory}:${process.env['PATH'] ?? ''}` })
  }

  /** What an administrator has in /etc/cni/net.d for it. */
  get conflist(): string {
    return `${JSON.stringify({ cniVersion: '1.0.0', name: network, plugins: [this.#bridge, { type: 'portmap', capabilities: { portMappings: true } }] })}\n`
  }

  /** A pod in a namespace of its own. Answers its address. */
  async add(name: string, { hostPort }: { hostPort?: number } = {}): Promise<string> {
    await this.#machine.addPodNamespace(name)
    let result = await this.#call('bridge', 'ADD', name, this.#bridge)
    if (hostPort !== undefined)
      result = await this.#call('portmap', 'ADD', name, {
        ...portmap(hostPort),
        prevResult: JSON.parse(result) as unknown,
      })
    const record = JSON.stringify({
      kind: 'cniCacheV1',
      containerId: name,
      ifName: 'eth0',
      networkName: network,
      result: JSON.parse(result) as unknown,
    })
    await this.#machine.succeed('sh', ['-c', `printf %s "$1" >${records}/${network}-${name}-eth0`, 'sh', record])
    return (JSON.parse(result) as { ips: { address: string }[] }).ips[0]?.address.split('/')[0] ?? ''
  }

  async remove(name: string, { hostPort }: { hostPort?: number } = {}): Promise<void> {
    if (hostPort !== undefined) await this.#call('portmap', 'DEL', name, portmap(hostPort))
    await this.#call('bridge', 'DEL', name, this.#bridge)
    await this.#machine.succeed('rm', [`${records}/${network}-${name}-eth0`])
    await this.#machine.removePodNamespace(name)
  }

  get #bridge(): object {
    return {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: { type: 'host-local', subnet: this.#subnet, routes: [{ dst: '0.0.0.0/0' }] },
    }
  }

  async #call(plugin: string, command: string, name: string, conf: object): Promise<string> {
    const env = {
      ...this.#env,
      CNI_COMMAND: command,
      CNI_CONTAINERID: name,
      CNI_NETNS: `/run/netns/${name}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: referencePlugins,
    }
    const { exitCode, stdout, stderr } = await this.#machine.run(`${referencePlugins}/${plugin}`, [], {
      env,
      input: JSON.stringify({ cniVersion: '1.0.0', name: network, ...conf }),
    })
    if (exitCode !== 0) throw new Error(`${plugin} ${command} ${name}: ${stdout}${stderr}`)
    return stdout
  }
}

function portmap(hostPort: number): object {
  return {
    type: 'portmap',
    snat: true,
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
  }
}
