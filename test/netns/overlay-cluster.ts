// Nodes on a switch, each a namespace with one pod behind it: what the overlay has to join.
import type { ClusterNode } from '../../src/cluster/node.ts'
import { parseAddress } from '../../src/net/address.ts'
import { nthAddress, parseCidr } from '../../src/net/cidr.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import { Overlay, type OverlayResult } from '../../src/overlay/overlay.ts'
import type { OverlaySettings } from '../../src/overlay/settings.ts'
import { type ScratchNamespace, scratchNamespace, testLog, wire } from './scratch.ts'

export interface TestNode {
  readonly object: ClusterNode
  readonly namespace: ScratchNamespace
  readonly pod: ScratchNamespace
  /** A pass of a new Overlay, as after an agent's restart. */
  reconcile(nodes: readonly ClusterNode[], settings?: Partial<OverlaySettings>): Promise<OverlayResult>
}

export interface Underlay extends AsyncDisposable {
  readonly switch: ScratchNamespace
  /**
   * Adds node I with 192.168.0.I and fd00::I on the switch (or the addresses given), and podCIDRs 10.244.I.0/24 and
   * fd00:244:I::/64.
   */
  addNode(i: number, at?: { addresses: readonly string[]; routes: readonly string[] }): Promise<TestNode>
}

export async function underlay(): Promise<Underlay> {
  const made = new AsyncDisposableStack()
  const hub = made.use(await scratchNamespace())
  await hub.run('ip', ['link', 'add', 'br0', 'type', 'bridge'])
  await hub.run('ip', ['link', 'set', 'br0', 'up'])
  return {
    switch: hub,
    addNode: async (i, at = { addresses: [`192.168.0.${i}/24`, `fd00::${i}/64`], routes: [] }) => {
      const namespace = made.use(await scratchNamespace())
      const pod = made.use(await scratchNamespace())
      // Link-local addresses would be on probation for a second, and no neighbour answers before.
      for (const { kernel } of [namespace, pod]) await kernel.writeSysctl('net/ipv6/conf/default/accept_dad', '0')
      await wire({ namespace, device: 'eth0' }, { namespace: hub, device: `port${i}` })
      await hub.run('ip', ['link', 'set', `port${i}`, 'master', 'br0'])
      await batch(namespace, [
        ...at.addresses.map((address) => `addr add ${address} dev eth0${address.includes(':') ? ' nodad' : ''}`),
        ...at.routes.map((route) => `route add ${route}`),
      ])
      for (const key of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'])
        await namespace.kernel.writeSysctl(key, '1')
      const object: ClusterNode = {
        name: `node-${i}`,
        uid: `${i}`,
        createdAt: i,
        podCidrs: [parseCidr(`10.244.${i}.0/24`), parseCidr(`fd00:244:${i}::/64`)],
        internalAddresses: at.addresses.map((address) => parseAddress(address.split('/')[0]!)),
        zone: undefined,
        leaving: false,
        alive: undefined,
        networkUnavailable: false,
        kubeletPort: 10_250,
      }
      await wire({ namespace, device: 'pod0' }, { namespace: pod, device: 'eth0' })
      await addressPod(namespace, pod, object)
      return {
        object,
        namespace,
        pod,
        reconcile: (nodes, settings = {}) =>
          new Overlay({ kernel: namespace.kernel, log: testLog }).reconcile(
            { ...defaults, nodeName: object.name, ...settings },
            nodes,
          ),
      }
    },
    [Symbol.asyncDispose]: () => made.disposeAsync(),
  }
}

const defaults: Omit<OverlaySettings, 'nodeName'> = {
  mode: 'vxlan',
  vni: 1,
  port: 8472,
  device: parseInterfaceName('fairlead.1'),
  checksumOffload: 'keep',
  mtu: 'auto',
  families: [4],
}

/** Gives the pod the second address of each podCIDR, and the node's end of its wire the first. */
export async function addressPod(
  namespace: ScratchNamespace,
  pod: ScratchNamespace,
  { podCidrs }: ClusterNode,
): Promise<void> {
  await batch(namespace, [
    'addr flush dev pod0 scope global',
    'link set pod0 mtu 9000',
    ...podCidrs.map(
      (cidr) => `addr add ${nthAddress(cidr, 1)}/${cidr.prefix} dev pod0${cidr.family === 6 ? ' nodad' : ''}`,
    ),
  ])
  await batch(pod, [
    'addr flush dev eth0 scope global',
    'link set eth0 mtu 9000',
    ...podCidrs.flatMap((cidr) => [
      `addr add ${nthAddress(cidr, 2)}/${cidr.prefix} dev eth0${cidr.family === 6 ? ' nodad' : ''}`,
      `route replace default via ${nthAddress(cidr, 1)} dev eth0`,
    ]),
  ])
}

/** True when an answer comes back; `bytes` is the size of the whole packet, sent unfragmented. */
export async function reaches(
  from: ScratchNamespace,
  to: ClusterNode,
  options: { family?: 4 | 6; bytes?: number } = {},
): Promise<boolean> {
  const { family = 4, bytes = 84 } = options
  const cidr = to.podCidrs.find((candidate) => candidate.family === family)!
  const payload = bytes - (family === 4 ? 28 : 48)
  return from.run('ping', ['-c', '1', '-W', '1', '-M', 'do', '-s', `${payload}`, nthAddress(cidr, 2)]).then(
    () => true,
    () => false,
  )
}

/** Every entry the overlay could have made, as iproute2 prints it. */
export async function entries({
  namespace,
}: TestNode): Promise<{ routes: string[]; neighbours: string[]; fdb: string[] }> {
  const lines = async (tool: string, ...args: string[]): Promise<string[]> =>
    (await namespace.run(tool, args))
      .split('\n')
      .map((line) => line.trim().replaceAll(/ +/g, ' '))
      .filter(Boolean)
  const [routes, routes6, neighbours, fdb] = await Promise.all([
    lines('ip', '-4', 'route', 'show', 'proto', '98'),
    lines('ip', '-6', 'route', 'show', 'proto', '98'),
    lines('ip', 'neigh', 'show', 'dev', 'fairlead.1', 'nud', 'permanent'),
    lines('bridge', 'fdb', 'show', 'dev', 'fairlead.1'),
  ])
  return { routes: [...routes, ...routes6], neighbours, fdb }
}

export async function batch(namespace: ScratchNamespace, lines: readonly string[]): Promise<void> {
  await namespace.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` })
}

/** All nodes told of all nodes. */
export async function converge(
  nodes: readonly TestNode[],
  settings: Partial<OverlaySettings> = {},
): Promise<OverlayResult[]> {
  return Promise.all(
    nodes.map((node) =>
      node.reconcile(
        nodes.map(({ object }) => object),
        settings,
      ),
    ),
  )
}
