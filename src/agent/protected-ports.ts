// What this agent protects from Services and host ports (ADR 32): the ports that it, its node and the other nodes need,
// as its configuration, the Node objects and its connection to the API server tell them.
import { networkInterfaces } from 'node:os'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { ClusterNode } from '../cluster/node.ts'
import { type ProtectedPort, ProtectedPorts } from '../cluster/protected-ports.ts'
import { type Address, canonicalAddress, parseAddress } from '../net/address.ts'
import { endsOf, type ServerPlace } from './api-server-places.ts'
import type { AgentConfig } from './config.ts'
import { parseListenAddress } from '../runtime/http-listener.ts'

export interface NeededPortsParts {
  readonly config: Pick<
    AgentConfig,
    'nodeName' | 'protectNodeTraffic' | 'podNetwork' | 'overlay' | 'vxlanPort' | 'healthAddress' | 'metricsAddress'
  >
  readonly nodes: Iterable<ClusterNode>
  /** Where the API server is reached. */
  readonly servers: readonly ServerPlace[]
  /** Addresses of this node's interfaces, loopback included. */
  readonly localAddresses: ReadonlySet<string>
}

const loopback: readonly Address[] = ['127.0.0.1', '::1'].map(parseAddress)

export function protectedPorts({ config, nodes, servers, localAddresses }: NeededPortsParts): ProtectedPorts {
  if (!config.protectNodeTraffic) return ProtectedPorts.none
  const all = [...nodes]
  const ofNodes = all.flatMap(({ internalAddresses }) => internalAddresses)
  const own = new Set<string>([
    ...localAddresses,
    ...(all.find(({ name }) => name === config.nodeName)?.internalAddresses ?? []),
  ])
  const needed: ProtectedPort[] = []
  for (const [port, places] of Map.groupBy(servers, (server) => server.port)) {
    const addresses = places.map(({ address }) => address)
    const onThisNode = addresses.some((address) => own.has(address))
    needed.push({ neededBy: 'the API server', protocol: 'tcp', port, addresses, onThisNode })
  }
  if (config.podNetwork && (config.overlay === 'vxlan' || config.overlay === 'auto'))
    needed.push({
      neededBy: 'the VXLAN of the nodes',
      protocol: 'udp',
      port: config.vxlanPort,
      addresses: ofNodes,
      onThisNode: true,
    })
  for (const [port, kubelets] of Map.groupBy(all, ({ kubeletPort }) => kubeletPort))
    needed.push({
      neededBy: 'the kubelet',
      protocol: 'tcp',
      port,
      addresses: [...kubelets.flatMap(({ internalAddresses }) => internalAddresses), ...loopback],
      onThisNode: kubelets.some(({ name }) => name === config.nodeName),
    })
  for (const [neededBy, listen] of [
    ["the agent's health endpoint", config.healthAddress],
    ["the agent's metrics endpoint", config.metricsAddress],
  ] as const) {
    const { host, port } = parseListenAddress(listen)
    const addresses = host === undefined || host === '::' ? [...ofNodes, ...loopback] : addressesIn([host])
    needed.push({ neededBy, protocol: 'tcp', port, addresses, onThisNode: true })
  }
  return new ProtectedPorts(needed)
}

/**
 * The same from manifests, for those who have no connection: the API server as the configuration and the Service
 * default/kubernetes name it.
 * @param localAddresses of the node's interfaces, where they are known
 */
export function protectedIn(
  { nodes, slices }: { nodes: Iterable<ClusterNode>; slices: Iterable<ClusterEndpointSlice> },
  nodeName: string,
  config: AgentConfig,
  localAddresses: ReadonlySet<string> = new Set(),
): ProtectedPorts {
  const servers = endsOf(config.apiServer === undefined ? [] : [config.apiServer])
    .flatMap(({ host, port }) => addressesIn([host]).map((address) => ({ address, port })))
    .concat(apiServersIn(slices))
  return protectedPorts({ config: { ...config, nodeName }, nodes, servers, localAddresses })
}

/** The API servers as the Service default/kubernetes has them. */
export function apiServersIn(slices: Iterable<ClusterEndpointSlice>): ServerPlace[] {
  return [...slices]
    .filter(({ namespace, service }) => namespace === 'default' && service === 'kubernetes')
    .flatMap(({ ports, endpoints }) =>
      ports
        .filter(({ protocol }) => protocol === 'tcp')
        .flatMap(({ port }) => endpoints.map(({ address }) => ({ address, port }))),
    )
}

/** Of this process's network namespace: the node's. */
export function interfaceAddresses(): ReadonlySet<string> {
  const texts = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
  return new Set(addressesIn(texts))
}

/** Those that are addresses, in the one spelling that we compare. */
function addressesIn(texts: readonly string[]): Address[] {
  return texts.flatMap((text) => canonicalAddress(text) ?? [])
}
