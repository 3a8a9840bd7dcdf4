// Checks the probes of other nodes. The counters of both ends show whether the tunnel loses packets on the way there,
// on the way back, or because they arrive damaged.
import { findUplink } from '../../overlay/uplink.ts'
import { vxlanOverhead } from '../../overlay/mtu.ts'
import { familyOf } from '../../net/address.ts'
import type { Check, Finding } from '../check.ts'
import { withoutAgent } from '../check.ts'
import type { NodeFacts } from '../node-facts.ts'
import type { PeerProbe } from '../peer-probe.ts'

export function examineUnderlay({ agent, peers }: NodeFacts): Check {
  const base = { name: 'node to node', seenAs: 'a node that is cut off, or whose agent is down' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  const findings = peers.flatMap(({ node, address, port, underlay }) =>
    underlay === undefined
      ? []
      : [
          {
            problem: `the agent of ${node} does not answer at ${address}:${port} (${underlay})`,
            remedy: `see whether ${node} is up and its agent runs, and allow TCP ${port} between nodes`,
          },
        ],
  )
  return { ...base, findings }
}

export function examineOverlay({ agent, peers }: NodeFacts): Check {
  const base = { name: 'overlay', seenAs: 'pods that reach those of their own node only' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  const lost = peers.filter((peer) => peer.underlay === undefined && peer.overlay !== undefined && !isBroken(peer))
  return {
    ...base,
    findings: lost.map((peer) =>
      agent.overlay === 'vxlan' || agent.overlay === 'auto'
        ? tunnelFinding(peer, agent.node, agent.vxlanPort)
        : routeFinding(peer),
    ),
  }
}

function tunnelFinding({ node, address, overlay, counted }: PeerProbe, own: string, port: number): Finding {
  const allow = (from: string, to: string): string =>
    `allow UDP ${port} from ${from} to ${to} in firewalls and security groups ` +
    "(VMware's NSX uses 8472 itself: set vxlanPort to another on all nodes)"
  const remedy = allow(own, node)
  if (counted?.there.received === 0)
    return {
      problem: `packets in the tunnel do not reach ${node} at ${address}: UDP ${port} from ${own} is lost (${overlay})`,
      remedy,
    }
  if (counted?.here.received === 0)
    return {
      problem:
        `packets in the tunnel reach ${node} at ${address}, and its answers are lost: ` +
        `UDP ${port} from ${node} to ${own} (${overlay})`,
      remedy: allow(node, own),
    }
  return {
    problem: `${node} at ${address} does not answer through the tunnel (${overlay})`,
    remedy: `${remedy}, both ways; run fairlead doctor on ${node} too`,
  }
}

function routeFinding({ node, overlay }: PeerProbe): Finding {
  return {
    problem: `${node} does not answer at its pod network (${overlay})`,
    remedy:
      'turn off the source check of the cloud or hypervisor, which accepts only the own addresses of nodes, ' +
      'or set overlay: vxlan',
  }
}

/** Checks for the fault of flannel #1279, with which only ping works. */
export function examineChecksums({ agent, peers, device }: NodeFacts): Check {
  const base = { name: 'checksum offload', seenAs: 'pods of other nodes that answer ping and nothing else' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  const findings = peers.filter(isBroken).map(({ node, counted }) => {
    const sender = (counted?.there.checksumErrors ?? 0) > 0 ? agent.node : node
    return {
      problem:
        `packets in the tunnel between ${agent.node} and ${node} arrive with wrong checksums: ` +
        `the network card of ${sender} miscalculates them`,
      remedy:
        `on ${sender}: ethtool -K ${device} tx-checksum-ip-generic off (its agent does it where checksumOffload is ` +
        'auto), and update the driver of its network card',
    }
  })
  return { ...base, findings }
}

function isBroken({ overlay, counted }: PeerProbe): boolean {
  return (
    overlay !== undefined && counted !== undefined && counted.here.checksumErrors + counted.there.checksumErrors > 0
  )
}

export function examineMtu({ agent, peers, links, device }: NodeFacts): Check {
  const base = { name: 'MTU', seenAs: 'connections that open and then hang, as TLS and large answers do' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  const tunnel = links.find(({ name }) => name === device)
  const findings = peers
    .filter(({ large }) => large !== undefined)
    .map(({ node, large }) => ({
      problem: `small packets reach ${node} and those of ${tunnel?.mtu ?? 'full'} bytes do not (${large})`,
      remedy:
        'raise the MTU of the network between the nodes, or set mtu to what it carries less the tunnel header ' +
        '(50 bytes, 70 over IPv6)',
    }))
  return {
    ...base,
    findings: [
      ...findings,
      ...tooLarge(agent.nodes.find(({ name }) => name === agent.node)?.internalAddresses ?? [], { links, device }),
    ],
  }
}

function tooLarge(
  addresses: readonly Parameters<typeof findUplink>[1][],
  { links, device }: Pick<NodeFacts, 'links' | 'device'>,
): Finding[] {
  const tunnel = links.find(({ name }) => name === device)
  const [address] = addresses
  const uplink = address === undefined ? undefined : findUplink(links, address)
  if (tunnel === undefined || uplink === undefined || address === undefined) return []
  const limit = uplink.mtu - vxlanOverhead(familyOf(address))
  return tunnel.mtu <= limit
    ? []
    : [
        {
          problem: `${device} has an MTU of ${tunnel.mtu}, but ${uplink.device} carries ${limit} inside the tunnel`,
          remedy: `ip link set ${device} mtu ${limit}; the agent does so within seconds`,
        },
      ]
}
