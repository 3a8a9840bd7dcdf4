// A node with Services on it, and the measures that are taken there.
import pino from 'pino'
import { ProtectedPorts } from '../../src/cluster/protected-ports.ts'
import type { Iptables, IptablesBackend } from '../../src/iptables/iptables.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { openIptables } from '../../src/iptables/linux-iptables.ts'
import { openKernel } from '../../src/kernel/linux-kernel.ts'
import { createNamespace, deleteNamespace, namespacePath } from '../../src/kernel/netns.ts'
import { runProgram } from '../../src/kernel/run.ts'
import { nodeFacts } from '../../src/services/node-facts.ts'
import { renderSnapshot } from '../../src/services/render-snapshot.ts'
import { Services } from '../../src/services/services.ts'
import { tableText } from '../../src/services/table-text.ts'
import { node, options, TestCluster } from '../netns/services-cluster.ts'
import { compiled } from './compiled.ts'

const log = pino({ level: 'silent' })
/** A datagram is a whole connection. */
const udp = { ports: [{ name: '', protocol: 'udp' as const, port: 80, nodePort: 0 }] }

export class Bed implements AsyncDisposable {
  readonly cluster = new TestCluster()
  readonly kernel: Kernel
  readonly iptables: Iptables
  readonly #name: string
  readonly #services: Services

  private constructor(name: string, backend: IptablesBackend, layout: 'tree' | 'flat') {
    this.#name = name
    this.kernel = openKernel({ netns: namespacePath(name), log })
    this.iptables = openIptables(this.kernel, { log, backend })
    this.#services = new Services({ kernel: this.kernel, iptables: this.iptables, log, families: [4] })
    this.#services.configure({ ...options, layout })
  }

  /** So many Services with three endpoints each; nothing is in the kernel yet. */
  static async make(backend: IptablesBackend, layout: 'tree' | 'flat', count: number): Promise<Bed> {
    const name = `bench-${backend}-${layout}-${count}`
    await createNamespace(name)
    const bed = new Bed(name, backend, layout)
    for (let n = 1; n <= count; n++) bed.cluster.add(n, 3, udp)
    // Everything has a way out, which leads nowhere: what is measured is what happens before.
    await bed.#run('sh', [
      '-c',
      'ip link set lo up && ip link add out type veth peer name away && ip addr add 192.168.0.21/24 dev out && ip link set out up && ip link set away up && ip route add default via 192.168.0.1 && ip neigh add 192.168.0.1 lladdr 02:00:00:00:00:01 dev out',
    ])
    return bed
  }

  /** @returns seconds. */
  async sync(): Promise<number> {
    this.#services.update(...this.cluster.snapshot)
    return seconds(async () => this.#services.sync())
  }

  /** All rules in kube-proxy's layout, as it writes them when it starts. */
  wholeText(): string {
    return tableText(this.#flat(this.cluster.services.keys()).rules)
  }

  /**
   * The text of a partial sync as kube-proxy makes it: the chains of the Service that changed, and all of
   * KUBE-SERVICES, whatever is in it.
   */
  partialText(n: number): string {
    const { filter, nat: all } = this.#flat(this.cluster.services.keys()).rules
    const nat = new Map([...this.#flat([`ns/svc-${n}`]).rules.nat.keys()].map((chain) => [chain, all.get(chain) ?? []]))
    return tableText({ filter, nat }).replaceAll(/^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) .*\n/gm, '')
  }

  /** us of the median first packet. */
  async firstPackets(address: string): Promise<number> {
    await this.#run('conntrack', ['-F'])
    return Number(await this.#run(compiled('first-packets.c'), [address, '300'])) / 1000
  }

  #flat(keys: Iterable<string>): ReturnType<typeof renderSnapshot> {
    const services = [...keys].flatMap((key) => this.cluster.services.get(key) ?? [])
    const slices = services.flatMap(({ name }) => this.cluster.slices.get(`ns/${name}-slice`) ?? [])
    return renderSnapshot({
      services,
      slices,
      options: { ...options, layout: 'flat' },
      node: nodeFacts(node, 4, []),
      needed: ProtectedPorts.none,
    })
  }

  async #run(program: string, args: readonly string[]): Promise<string> {
    return (await runProgram('nsenter', [`--net=${namespacePath(this.#name)}`, program, ...args])).stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel[Symbol.asyncDispose]()
    await deleteNamespace(this.#name)
  }
}

export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return (performance.now() - begin) / 1000
}
