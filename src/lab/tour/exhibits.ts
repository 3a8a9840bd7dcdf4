// Shows the kernel state that carries pod traffic, as the tools print it.
import type { NodeName } from '../layout.ts'
import type { PodView } from '../views.ts'
import type { Exhibit } from './step.ts'
import type { Tour } from './tour.ts'

const overlayDevice = 'fairlead.1'

/**
 * Shows the state with which a node reaches the pods of a peer: the route, and with a tunnel also the neighbour and FDB
 * entries.
 */
export async function stateForPeer(
  tour: Tour,
  from: NodeName,
  peer: { podCidr: string; address: string },
): Promise<Exhibit[]> {
  const route = await tour.show(from, ['ip', 'route', 'show', peer.podCidr])
  if (!route.lines.some((line) => line.includes(overlayDevice))) return [route]
  const [network = ''] = peer.podCidr.split('/')
  const neighbour = await tour.show(from, ['ip', 'neighbour', 'show', network, 'dev', overlayDevice])
  const fdb = await tour.show(
    from,
    ['bridge', 'fdb', 'show', 'dev', overlayDevice],
    new RegExp(`dst ${escape(peer.address)} `),
  )
  return [route, neighbour, fdb]
}

/** Shows a pod's address and routes, and the FDB entry of its port on the bridge. */
export async function podInterfaceOf(tour: Tour, pod: PodView, node: NodeName): Promise<Exhibit[]> {
  const address = await tour.show(pod, ['ip', '-brief', 'address', 'show', 'eth0'])
  const routes = await tour.show(pod, ['ip', 'route', 'show'])
  const mac = (await tour.run(pod, ['cat', '/sys/class/net/eth0/address'])).trim()
  const port = await tour.show(node, ['bridge', 'fdb', 'show', 'br', 'cni0'], new RegExp(`^${escape(mac)} `))
  return [address, routes, port]
}

export async function bridgePorts(tour: Tour, node: NodeName): Promise<Exhibit> {
  return await tour.show(node, ['bridge', 'link', 'show'], /master cni0/)
}

/** Shows the rules of the nat table that match. */
export async function natRules(tour: Tour, node: NodeName, match: RegExp): Promise<Exhibit> {
  return await tour.show(node, ['iptables', '-w', '-t', 'nat', '-S'], match)
}

/** Shows the last matching connection of the node's conntrack table, with its translations. */
export async function connections(tour: Tour, node: NodeName, filter: readonly string[]): Promise<Exhibit> {
  const { lines, ...exhibit } = await tour.show(node, ['conntrack', '-L', ...filter], /src=/)
  return { ...exhibit, lines: lines.slice(-1) }
}

function escape(text: string): string {
  return text.replaceAll('.', String.raw`\.`)
}
