// Probes every other node over its own address and through the tunnel, and counts where packets are lost.
import type { AgentStatus } from '../agent/status-shape.ts'
import { parseListenAddress } from '../runtime/http-listener.ts'
import { askPeer, countersOfPeer, refused } from '../agent/peer-question.ts'
import { grownBy, readTunnelCounters } from '../kernel/tunnel-counters.ts'
import { gatewayOf } from '../pods/ipam.ts'
import type { PeerProbe } from './peer-probe.ts'

/** Several segments of any usual MTU in both directions, even with jumbo frames. */
const largeBytes = 32 << 10
/** The number of nodes that are probed at the same time. */
const maxConcurrent = 20

export async function probePeers(agent: AgentStatus): Promise<PeerProbe[]> {
  const others = agent.nodes.filter(
    ({ name }) => name !== agent.node && agent.leftOut?.some((node) => node.name === name) !== true,
  )
  const probes: PeerProbe[] = []
  for (let at = 0; at < others.length; at += maxConcurrent)
    probes.push(...(await Promise.all(others.slice(at, at + maxConcurrent).map((node) => probe(agent, node)))).flat())
  // One at a time, so that the counters show the packets of one peer, apart from the pods' own traffic.
  const counted: PeerProbe[] = []
  for (const each of probes)
    counted.push(each.underlay === undefined && each.overlay !== undefined ? await recount(agent, each) : each)
  return counted
}

type Peer = AgentStatus['nodes'][number]

async function probe(
  agent: AgentStatus,
  { name: node, internalAddresses: [address], podCidrs: [podCidr] }: Peer,
): Promise<PeerProbe[]> {
  // The check of nodes reports it.
  if (address === undefined || podCidr === undefined) return []
  const { port } = parseListenAddress(agent.healthAddress)
  const through = gatewayOf(podCidr)
  const [underlay, overlay] = await Promise.all([askPeer(address, port, 0), askPeer(through, port, 0)])
  // A refusal (ECONNREFUSED) is an answer that came through the tunnel.
  const reached = overlay === refused ? undefined : overlay
  const large = overlay === undefined ? await askPeer(through, port, largeBytes) : undefined
  return [{ node, address, port, underlay, overlay: reached, large, counted: undefined }]
}

async function recount(agent: AgentStatus, peer: PeerProbe): Promise<PeerProbe> {
  const podCidr = agent.nodes.find(({ name }) => name === peer.node)?.podCidrs[0]
  if (podCidr === undefined) return peer
  const before = { here: readTunnelCounters(agent.vxlanDevice), there: await countersOfPeer(peer.address, peer.port) }
  const overlay = await askPeer(gatewayOf(podCidr), peer.port, 0)
  const after = { here: readTunnelCounters(agent.vxlanDevice), there: await countersOfPeer(peer.address, peer.port) }
  if (before.there === undefined || after.there === undefined) return { ...peer, overlay }
  return {
    ...peer,
    overlay,
    counted: { here: grownBy(before.here, after.here), there: grownBy(before.there, after.there) },
  }
}
