// Evaluates NetworkPolicies for the packet. For pods of this node the verdict comes from the kernel's own table, and
// the policies that the agent knows explain it. The kernel of another node cannot be read from here, so for its pods
// the verdict comes from those policies alone.
import type { Found, FoundPod } from '../../agent/lookup-shape.ts'
import type { Address } from '../../net/address.ts'
import { type Admission, admissionOf, type Connection, type Party } from '../../policy/admission.ts'
import { type TunnelAddress, tunnelAddresses } from '../../policy/ip-blocks.ts'
import type { Direction } from '../../policy/subjects.ts'
import { sourceVerdict } from '../../policy/source-verdict.ts'
import { admittingPolicy } from '../../policy/suggestion.ts'
import { policyTable } from '../../policy/table.ts'
import { type Judgement, verdictOf } from '../../policy/verdict.ts'
import { countingSets, wireTable } from '../../policy/wires.ts'
import { endpoint, type Flow, type LocalNode } from './flow.ts'
import type { Broken, Hop } from './hop.ts'
import { ask, type TraceWalk } from './question.ts'

/**
 * Checks the source address of a pod's packet where it enters the bridge.
 * @returns one hop, or none when no egress policy isolates the pod.
 */
export function* walkSourceCheck(hostInterface: string, source: Address): TraceWalk<Hop[]> {
  const objects = (yield* ask('nftTable', { name: wireTable })) ?? []
  const verdict = sourceVerdict(objects, hostInterface, source)
  if (verdict === undefined) return []
  const { set, element, passes, dropped } = verdict
  const base = {
    at: 'policy source',
    object: `set ${set}: ${element}`,
    command: `nft list set ${wireTable} ${passes ? countingSets.source : set}`,
  }
  if (passes)
    return [
      { ...base, note: `isolated, so held to its own addresses: ${dropped} packets with another source were dropped` },
    ]
  return [
    {
      ...base,
      broken: {
        problem: `table ${wireTable} does not know ${source} at ${hostInterface}, and drops it as spoofed`,
        remedy: 'the agent rewrites the table when it notices: fairlead status',
      },
    },
  ]
}

/**
 * Evaluates the policy table of this node on its forward hook.
 * @returns hops; the last one is broken when the packet is denied.
 */
export function* walkPolicies(local: LocalNode, flow: Flow): TraceWalk<Hop[]> {
  const objects = yield* ask('nftTable', { name: policyTable })
  if (objects === undefined)
    return [
      {
        at: 'policy',
        object: 'no table inet fairlead',
        note: 'no policy isolates a pod of this node',
        command: 'nft list tables',
      },
    ]
  const { accepted, judgements } = verdictOf(objects, flow)
  const ends = yield* partiesOf(flow.source, flow.destination)
  const hops = judgements.map((judgement) => judgementHop(local, flow, judgement, ends))
  if (hops.length > 0 || accepted) return hops.length > 0 ? hops : [openHop(flow)]
  return [
    {
      at: 'policy',
      object: 'chain inet fairlead forward',
      command: 'nft list chain inet fairlead forward',
      broken: {
        problem: 'the chain drops it, and no policy of a pod explains that',
        remedy: 'the agent rewrites the table when it notices: fairlead status',
      },
    },
  ]
}

/**
 * Evaluates the ingress policies of a pod on another node, as the agent of that node must.
 * @returns one hop, or none when the agent here does not know the pod or no policy isolates it.
 */
export function* walkRemotePolicies(local: LocalNode, flow: Flow, node: string): TraceWalk<Hop[]> {
  const ends = yield* partiesOf(flow.source, flow.destination)
  const isolation = ends.destination.found?.ingress
  if (ends.destination.found === undefined || isolation === undefined) return []
  const base = {
    at: `policy on ${node}`,
    object: "judged by the policies that this node's agent knows: the kernel of that node cannot be read from here",
    command: remoteCommand(flow, node),
  }
  const admission = admissionIn(local, flow, 'ingress', ends)
  return [
    admission === undefined
      ? { ...base, broken: denial(local, flow, 'ingress', ends) }
      : { ...base, note: `admitted by policy ${admission.policy}, rule ${admission.rule}` },
  ]
}

/** Returns the command that shows the rest of the path on the other node. */
export function remoteCommand({ source, destination, port, protocol }: Flow, node: string): string {
  const protocolOption = protocol === 'tcp' ? '' : ` --proto ${protocol}`
  return `fairlead trace --from ${source} --to ${endpoint(destination, port)}${protocolOption}   # on ${node}`
}

interface End extends Party {
  readonly found: FoundPod | undefined
}
type Ends = Readonly<Record<'source' | 'destination', End>>

function* partiesOf(source: Address, destination: Address): TraceWalk<Ends> {
  const [from, to] = yield* ask('lookup', { of: [source, destination] })
  return { source: endOf(source, from), destination: endOf(destination, to) }
}

function endOf(address: Address, found: Found | undefined): End {
  const pod = found?.pods[0]
  return { address, pod: pod && { ...pod, namespaceLabels: pod.namespaceLabels }, found: pod }
}

function openHop({ source, destination, family }: Flow): Hop {
  const itself = source === destination
  return {
    at: 'policy',
    object: itself
      ? `ip saddr . ip daddr @itself${family}`
      : `neither ${source} in map egress${family} nor ${destination} in map ingress${family}`,
    note: itself ? 'a pod always reaches itself' : 'neither end is isolated',
    command: itself ? `nft list set inet fairlead itself${family}` : `nft list map inet fairlead ingress${family}`,
  }
}

function judgementHop(
  local: LocalNode,
  flow: Flow,
  { direction, map, chain, admittedBy, admitted }: Judgement,
  ends: Ends,
): Hop {
  const subject = ends[direction === 'ingress' ? 'destination' : 'source']
  const base = {
    at: `policy ${direction}`,
    object: `map ${map}: ${subject.address} : jump ${chain}`,
    command: `nft list chain inet fairlead ${chain}`,
  }
  const admission = admissionIn(local, flow, direction, ends)
  if (!admitted) {
    const broken = denial(local, flow, direction, ends)
    if (admission === undefined) return { ...base, broken }
    const contradiction = `though policy ${admission.policy}, rule ${admission.rule}, admits it`
    return {
      ...base,
      broken: {
        problem: `${broken.problem.split(':')[0]}, ${contradiction}: the table is behind the policies`,
        remedy: 'see what keeps the agent from writing it: fairlead status, and its log',
      },
    }
  }
  if (admission !== undefined)
    return { ...base, note: `admitted by policy ${admission.policy}, rule ${admission.rule}` }
  const known = typeof subject.found?.[direction] === 'object'
  const contradiction = known ? ', but not by the policies that the agent knows: the table is behind them' : ''
  return { ...base, note: `admitted by policy ${admittedBy ?? ''}${contradiction}` }
}

function admissionIn(local: LocalNode, flow: Flow, direction: Direction, ends: Ends): Admission | undefined {
  const pod = ends[direction === 'ingress' ? 'destination' : 'source'].found
  const isolation = pod?.[direction]
  if (pod === undefined || typeof isolation !== 'object') return undefined
  return admissionOf(direction, pod.namespace, isolation, connectionOf(flow, ends), tunnelsOf(local))
}

function denial(local: LocalNode, flow: Flow, direction: Direction, ends: Ends): Broken {
  const [own, peer] = direction === 'ingress' ? [ends.destination, ends.source] : [ends.source, ends.destination]
  const isolation = own.found?.[direction]
  const owner = own.found === undefined ? own.address : `${own.found.namespace}/${own.found.name}`
  const node = local.nodes.find(({ podCidrs, internalAddresses }) =>
    [...internalAddresses, ...podCidrs.map(({ network }) => network)].includes(peer.address),
  )?.name
  const peerName =
    peer.found === undefined
      ? `${node === undefined ? '' : `${node}, `}${peer.address}`
      : `${peer.found.namespace}/${peer.found.name}`
  const port = `port ${flow.port}/${flow.protocol}`
  if (isolation === 'held')
    return {
      problem:
        `denied: the labels of ${owner} have not arrived from the API server, ` +
        'and a policy of its namespace might select it',
      remedy: 'see whether the agent hears the API server: fairlead status',
    }
  if (isolation === undefined)
    return {
      problem: `denied by isolation of ${owner} (${direction}); only the agent knows by which policies`,
      remedy: 'ask again when the agent answers: fairlead status',
    }
  const connection = direction === 'egress' ? `${port} of ${peerName}` : `${peerName} to ${port}`
  const policies = `${isolation.length === 1 ? 'policy' : 'policies'} ${isolation.map(({ name }) => name).join(', ')}`
  return {
    problem: `denied by isolation of ${owner}: no ${direction} rule of ${policies} admits ${connection}`,
    remedy: 'if it should pass, a policy such as this one admits it, in addition to the existing ones',
    policy: admittingPolicy(direction, connectionOf(flow, ends), tunnelsOf(local), node),
  }
}

function connectionOf({ protocol, port }: Flow, { source, destination }: Ends): Connection {
  return { source, destination, protocol, port }
}

function tunnelsOf({ nodes }: LocalNode): TunnelAddress[] {
  return tunnelAddresses(nodes)
}
