// NetworkPolicies. For pods of this node the verdict is the kernel's own: its table is read and worked through, and the
// policies that the agent knows give the reasons. For pods of another node, whose kernel cannot be seen from here,
// those policies are all there is to go by.
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
import { endpoint, type Flow, type Here } from './flow.ts'
import type { Broken, Hop } from './hop.ts'
import { ask, type Walk } from './question.ts'

/** Where a pod's packet enters the bridge. None where the pod may send what it likes. */
export function* walkSource(wire: string, source: Address): Walk<Hop[]> {
  const verdict = sourceVerdict((yield* ask('nftTable', { name: wireTable })) ?? [], wire, source)
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
        problem: `table ${wireTable} does not know ${source} at ${wire}, and drops what it sends as another's`,
        remedy: 'the agent writes the table anew once it has looked: fairlead status',
      },
    },
  ]
}

/** On the forward hook of this node. @returns hops; the last one broken where the packet is denied */
export function* walkPolicies(here: Here, flow: Flow): Walk<Hop[]> {
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
  const hops = judgements.map((judgement) => judgementHop(here, flow, judgement, ends))
  if (hops.length > 0 || accepted) return hops.length > 0 ? hops : [openHop(flow)]
  return [
    {
      at: 'policy',
      object: 'chain inet fairlead forward',
      command: 'nft list chain inet fairlead forward',
      broken: {
        problem: 'the chain drops it, and no policy of a pod says so',
        remedy: 'the agent writes the table anew once it has looked: fairlead status',
      },
    },
  ]
}

/** On the node of the destination, as its agent has to judge it. None where nothing is known of the pod. */
export function* walkFarPolicies(here: Here, flow: Flow, node: string): Walk<Hop[]> {
  const ends = yield* partiesOf(flow.source, flow.destination)
  const isolation = ends.destination.found?.ingress
  if (ends.destination.found === undefined || isolation === undefined) return []
  const base = {
    at: `policy on ${node}`,
    object: "judged by the policies that this node's agent knows: the kernel there cannot be seen from here",
    command: farCommand(flow, node),
  }
  const admission = admissionIn(here, flow, 'ingress', ends)
  return [
    admission === undefined
      ? { ...base, broken: denial(here, flow, 'ingress', ends) }
      : { ...base, note: `admitted by policy ${admission.policy}, rule ${admission.rule}` },
  ]
}

/** What shows the rest of the way. */
export function farCommand({ source, destination, port, protocol }: Flow, node: string): string {
  return `fairlead trace --from ${source} --to ${endpoint(destination, port)}${protocol === 'tcp' ? '' : ` --proto ${protocol}`}   # on ${node}`
}

interface End extends Party {
  readonly found: FoundPod | undefined
}
type Ends = Readonly<Record<'source' | 'destination', End>>

function* partiesOf(source: Address, destination: Address): Walk<Ends> {
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
  here: Here,
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
  const admission = admissionIn(here, flow, direction, ends)
  if (!admitted) {
    const broken = denial(here, flow, direction, ends)
    if (admission === undefined) return { ...base, broken }
    return {
      ...base,
      broken: {
        problem: `${broken.problem.split(':')[0]}, though policy ${admission.policy}, rule ${admission.rule}, admits it: the table is behind the policies`,
        remedy: 'see what keeps the agent from writing it: fairlead status, and its log',
      },
    }
  }
  const known = typeof subject.found?.[direction] === 'object'
  const doubt =
    known && admission === undefined
      ? ', which the policies that the agent knows would not: the table is behind them'
      : ''
  return {
    ...base,
    note: `admitted by policy ${admission?.policy ?? admittedBy ?? ''}${admission === undefined ? '' : `, rule ${admission.rule}`}${doubt}`,
  }
}

function admissionIn(here: Here, flow: Flow, direction: Direction, ends: Ends): Admission | undefined {
  const pod = ends[direction === 'ingress' ? 'destination' : 'source'].found
  const isolation = pod?.[direction]
  if (pod === undefined || typeof isolation !== 'object') return undefined
  return admissionOf(direction, pod.namespace, isolation, connectionOf(flow, ends), tunnelsOf(here))
}

function denial(here: Here, flow: Flow, direction: Direction, ends: Ends): Broken {
  const [own, peer] = direction === 'ingress' ? [ends.destination, ends.source] : [ends.source, ends.destination]
  const isolation = own.found?.[direction]
  const who = own.found === undefined ? own.address : `${own.found.namespace}/${own.found.name}`
  const node = here.nodes.find(({ podCidrs, internalAddresses }) =>
    [...internalAddresses, ...podCidrs.map(({ network }) => network)].includes(peer.address),
  )?.name
  const peerName =
    peer.found === undefined
      ? `${node === undefined ? '' : `${node}, `}${peer.address}`
      : `${peer.found.namespace}/${peer.found.name}`
  const asked =
    direction === 'egress'
      ? `port ${flow.port}/${flow.protocol} of ${peerName}`
      : `${peerName} to port ${flow.port}/${flow.protocol}`
  if (isolation === 'held')
    return {
      problem: `denied: the labels of ${who} have not arrived from the API server, and a policy of its namespace might select it`,
      remedy: 'see whether the agent hears the API server: fairlead status',
    }
  if (isolation === undefined)
    return {
      problem: `denied by isolation of ${who} (${direction}); which policies do it, only the agent knows`,
      remedy: 'ask again when the agent answers: fairlead status',
    }
  const names = isolation.map(({ name }) => name)
  return {
    problem: `denied by isolation of ${who}: no ${direction} rule of ${names.length === 1 ? 'policy' : 'policies'} ${names.join(', ')} admits ${asked}`,
    remedy: 'if it should pass, a policy such as this one admits it, beside those that are there',
    policy: admittingPolicy(direction, connectionOf(flow, ends), tunnelsOf(here), node),
  }
}

function connectionOf({ protocol, port }: Flow, { source, destination }: Ends): Connection {
  return { source, destination, protocol, port }
}

function tunnelsOf({ nodes }: Here): TunnelAddress[] {
  return tunnelAddresses(nodes)
}
