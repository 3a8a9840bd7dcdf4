// Tries every other node: its agent answers POST /probe (agent/probe.ts) by the node's own address, and by the gateway of its pods, which is reached as its pods are.
import { request } from 'node:http'
import * as z from 'zod'
import type { AgentStatus } from '../agent/status-shape.ts'
import { parseListenAddress } from '../agent/http-listener.ts'
import { readTunnelCounters } from '../kernel/tunnel-counters.ts'
import type { Address } from '../net/address.ts'
import { gatewayOf } from '../pods/ipam.ts'
import { exchange } from './exchange.ts'
import type { Counted, PeerProbe } from './peer-probe.ts'

/** ms: two lost packets of a handshake, which come again after 1 s and 3 s, are borne. */
const patience = 4000
/** Several segments of any usual MTU, both ways; jumbo frames are filled too. */
const largeBytes = 32 << 10
const atOnce = 20

const counters = z.object({ received: z.number(), checksumErrors: z.number() })

export async function probePeers(agent: AgentStatus): Promise<PeerProbe[]> {
  const others = agent.nodes.filter(({ name }) => name !== agent.node)
  const probes: PeerProbe[] = []
  for (let at = 0; at < others.length; at += atOnce) probes.push(...(await Promise.all(others.slice(at, at + atOnce).map((node) => probe(agent, node)))).flat())
  // One at a time: what is counted is then of one peer, but for what pods send meanwhile.
  const counted: PeerProbe[] = []
  for (const each of probes) counted.push(each.underlay === undefined && each.overlay !== undefined ? await recount(agent, each) : each)
  return counted
}

type Peer = AgentStatus['nodes'][number]

async function probe(agent: AgentStatus, { name: node, internalAddresses: [address], podCidrs: [podCidr] }: Peer): Promise<PeerProbe[]> {
  // Said by the check of nodes.
  if (address === undefined || podCidr === undefined) return []
  const { port } = parseListenAddress(agent.healthAddress)
  const through = gatewayOf(podCidr)
  const [underlay, overlay] = await Promise.all([failure(address, port, 0), failure(through, port, 0)])
  // A refusal has come all the way.
  const reached = overlay === refused ? undefined : overlay
  const large = overlay === undefined ? await failure(through, port, largeBytes) : undefined
  return [{ node, address, port, underlay, overlay: reached, large, counted: undefined }]
}

async function recount(agent: AgentStatus, peer: PeerProbe): Promise<PeerProbe> {
  const podCidr = agent.nodes.find(({ name }) => name === peer.node)?.podCidrs[0]
  if (podCidr === undefined) return peer
  const before = { here: readTunnelCounters(agent.vxlanDevice), there: await countersOf(peer) }
  const overlay = await failure(gatewayOf(podCidr), peer.port, 0)
  const after = { here: readTunnelCounters(agent.vxlanDevice), there: await countersOf(peer) }
  if (before.there === undefined || after.there === undefined) return { ...peer, overlay }
  return { ...peer, overlay, counted: { here: grown(before.here, after.here), there: grown(before.there, after.there) } }
}

function grown(before: Counted, after: Counted): Counted {
  return { received: after.received - before.received, checksumErrors: after.checksumErrors - before.checksumErrors }
}

async function countersOf({ address, port }: PeerProbe): Promise<Counted | undefined> {
  try {
    return counters.parse(JSON.parse((await ask(address, port, 0)).body))
  } catch {
    // It has answered before, and may have gone since.
    return undefined
  }
}

const refused = 'connection refused'

/** Why it went wrong; undefined where it did not. */
async function failure(host: Address, port: number, bytes: number): Promise<string | undefined> {
  try {
    const { status } = await ask(host, port, bytes)
    return status === 200 ? undefined : `it answers ${status}: its agent is of another version`
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'ECONNREFUSED' ? refused : message
  }
}

async function ask(host: Address, port: number, bytes: number): Promise<{ status: number; body: string }> {
  const outgoing = request({ host, port, method: 'POST', path: '/probe', agent: false, timeout: patience, signal: AbortSignal.timeout(2 * patience) })
  return await exchange(outgoing, ' '.repeat(bytes))
}
