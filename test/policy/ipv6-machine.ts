// The matrix with addresses of IPv6 alone: two nodes of namespaces that our policies are enforced on, their pods, and
// clients outside, on one wire. The lab speaks IPv4 only, so objects do not come from an API server here.
import { Policies } from '../../src/policy/policies.ts'
import { ScratchCluster, wired } from '../../src/policy/scratch-cluster.ts'
import { scratchNamespace, testLog, wire } from '../netns/scratch.ts'
import { type Asked, cellsOf, differencesOf, nameOf, type Node, verdictsOf } from './matrix-cells.ts'
import { namespaces, pods as unplaced, ports } from './matrix-cluster.ts'
import type { Labels, NetworkPolicy } from './network-policy.ts'
import type { Pod } from './oracle.ts'
import { Prober } from './prober.ts'

export const outsiders6: Readonly<Record<string, string>> = { outside: 'fd00::100', elsewhere: 'fd00::150' }
const nodes: readonly Node[] = ['node1', 'node2'].map((name, i) => ({
  name,
  address: `fd00::2${i + 1}`,
  remote: `fd00::2${i + 1}`,
  bridge: `fd00:244:${i + 1}::1`,
}))
const pods: readonly Pod[] = unplaced.map((pod, i) => ({
  ...pod,
  address: `fd00:244:${pod.node === 'node1' ? 1 : 2}::${i + 5}`,
}))

export class Ipv6Machine implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack
  readonly #prober: Prober
  readonly #enforced: ReadonlyMap<string, Policies>
  readonly #cells: readonly Asked[] = cellsOf({ pods, nodes, others: outsiders6 })
  readonly #namespaces = Object.fromEntries(
    Object.entries(namespaces).map(([name, labels]) => [name, { ...labels, 'kubernetes.io/metadata.name': name }]),
  )
  #policies: readonly NetworkPolicy[] = []

  private constructor(stack: AsyncDisposableStack, prober: Prober, enforced: ReadonlyMap<string, Policies>) {
    this.#stack = stack
    this.#prober = prober
    this.#enforced = enforced
  }

  static async start(): Promise<Ipv6Machine> {
    await using stack = new AsyncDisposableStack()
    const prober = stack.use(new Prober())
    const outside = stack.use(await scratchNamespace())
    const routes = nodes.map((node) => `route add ${podNetwork(node)} via ${node.address}`)
    await outside.run('ip', ['-batch', '-'], {
      input: lines(
        'link add wire type bridge',
        'link set wire up',
        ...Object.values(outsiders6).map((address) => `addr add ${address}/64 dev wire nodad`),
        ...routes,
      ),
    })
    prober.addPlace('outside', outside.path, ports)
    const enforced = new Map<string, Policies>()
    for (const node of nodes) {
      const namespace = stack.use(await scratchNamespace({ iptables: 'nft' }))
      await wire(
        { namespace: outside, device: node.name },
        { namespace, device: 'eth0', address: `${node.address}/64` },
      )
      await outside.run('ip', ['link', 'set', node.name, 'master', 'wire'])
      const others = nodes
        .filter((other) => other !== node)
        .map((other) => `route add ${podNetwork(other)} via ${other.address}`)
      await namespace.run('ip', ['-batch', '-'], {
        input: lines(
          'link add cni0 type bridge',
          `addr add ${node.bridge}/64 dev cni0 nodad`,
          'link set cni0 up',
          ...others,
        ),
      })
      for (const key of ['net/ipv6/conf/all/forwarding', 'net/bridge/bridge-nf-call-ip6tables'])
        await namespace.kernel.writeSysctl(key, '1')
      prober.addPlace(node.name, namespace.path, ports)
      for (const pod of podsOf(node)) {
        const inside = stack.use(await scratchNamespace())
        const device = nameOf(pod).replace('/', '-')
        await wire({ namespace, device }, { namespace: inside, device: 'eth0', address: `${pod.address}/64` })
        await namespace.run('ip', ['link', 'set', device, 'master', 'cni0'])
        await inside.run('ip', ['route', 'add', 'default', 'via', node.bridge])
        prober.addPlace(nameOf(pod), inside.path, ports)
      }
      const policies = new Policies({ kernel: namespace.kernel, log: testLog })
      policies.configure({ nodeName: node.name, families: [6], judgeOpenConnections: true, log: undefined })
      enforced.set(node.name, policies)
    }
    return new Ipv6Machine(stack.move(), prober, enforced)
  }

  /** In force on both nodes when this resolves. */
  async enforce(...policies: readonly NetworkPolicy[]): Promise<void> {
    this.#policies = policies
    const cluster = new ScratchCluster()
    for (const [name, labels] of Object.entries(this.#namespaces)) cluster.namespace(name, labelText(labels))
    for (const node of nodes) cluster.node(node.name, node.address, podNetwork(node))
    for (const pod of pods) cluster.pod(nameOf(pod), { ...pod, labels: labelText(pod.labels) })
    for (const { namespace, name, spec } of policies) cluster.policy(`${namespace}/${name}`, spec)
    for (const node of nodes)
      await this.#enforced.get(node.name)?.sync(
        cluster.snapshots,
        podsOf(node).map((pod) => wired(nameOf(pod), pod.address)),
      )
  }

  /** The cells that are not as the oracle says, as a table. */
  async differences(): Promise<string> {
    const addresses = Object.fromEntries(nodes.map(({ name, address, bridge }) => [name, [address, bridge]]))
    return await differencesOf(
      async () =>
        await verdictsOf(this.#prober, this.#cells, {
          namespaces: this.#namespaces,
          nodes: addresses,
          pods,
          policies: this.#policies,
        }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]()
  }
}

function podsOf(node: Node): readonly Pod[] {
  return pods.filter((pod) => pod.node === node.name)
}

function podNetwork({ bridge }: Node): string {
  return bridge.replace(/1$/, '/64')
}

function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join()
}

/** For `ip -batch -`; the family is told by the addresses. */
function lines(...commands: readonly string[]): string {
  return commands.map((command) => `${command}\n`).join('')
}
