// The last part of a way out of this node: by a port of the bridge to a pod, through the tunnel to another node, or by
// a wire.
import { type Address, familyOf } from '../../net/address.ts'
import type { Link } from '../../kernel/observed.ts'
import { cidrContains, nthAddress } from '../../net/cidr.ts'
import { macOf } from '../../net/mac.ts'
import type { PodAttachment } from '../../pods/attachment-codec.ts'
import { attachmentOf, bridgeFilterKeys, type ClusterNode, type Flow, type Here, nameOf } from './flow.ts'
import type { Hop } from './hop.ts'
import { farCommand, walkFarPolicies } from './policies.ts'
import { walkToProcess } from './process.ts'
import { ask, type Walk } from './question.ts'

/** What the agent does by itself, as long as it runs. */
const agentMends = 'the agent puts it back within 15 s while it runs (fairlead status); by hand'

/** A pod's wire, from either end. @returns a hop that is broken where the wire is */
export function* walkWire(here: Here, attachment: PodAttachment): Walk<Hop> {
  const { hostInterface, podInterface, netns } = attachment
  const [veth, bridge] = [
    (yield* ask('links', {})).find(({ name }) => name === hostInterface),
    (yield* ask('links', {})).find(({ name }) => name === here.bridge),
  ]
  const base = {
    at: 'veth',
    object: veth === undefined ? `no ${hostInterface}` : describe(veth),
    command: `bridge -d link show dev ${hostInterface}`,
  }
  const again = `start the pod again: kubectl ${attachment.pod === undefined ? 'delete pod' : `-n ${attachment.pod.namespace} delete pod ${attachment.pod.name}`}`
  if (veth === undefined)
    return {
      ...base,
      broken: { problem: `the wire of ${nameOf(attachment)} is gone: ${hostInterface} is not there`, remedy: again },
    }
  if (!veth.up)
    return {
      ...base,
      broken: {
        problem: `${hostInterface}, the wire of ${nameOf(attachment)}, is down`,
        remedy: `ip link set ${hostInterface} up`,
      },
    }
  if (veth.master !== here.bridge)
    return {
      ...base,
      broken: {
        problem: `${hostInterface}, the wire of ${nameOf(attachment)}, is no port of ${here.bridge}`,
        remedy: `ip link set ${hostInterface} master ${here.bridge}`,
      },
    }
  if (bridge?.up !== true)
    return {
      ...base,
      broken: {
        problem: `the bridge ${here.bridge} is ${bridge === undefined ? 'not there' : 'down'}`,
        remedy: `${agentMends}: ip link set ${here.bridge} up`,
      },
    }
  const links = yield* ask('linksIn', { netns })
  // The kernel takes the veth away with the namespace: where it stands, the namespace is only out of sight.
  if (links === undefined) return { ...base, note: `the pod's namespace cannot be entered from here: ${netns}` }
  const inside = links.find(({ name }) => name === podInterface)
  if (inside?.up !== true) {
    const what = inside === undefined ? 'is not there' : 'is down'
    return {
      ...base,
      command: `nsenter --net=${netns} ip address show`,
      broken: {
        problem: `${podInterface} of ${nameOf(attachment)} ${what}`,
        remedy:
          inside === undefined
            ? again
            : `nsenter --net=${netns} ip link set ${podInterface} up, and see that its routes are back; or ${again}`,
      },
    }
  }
  return base
}

function describe({ name, up, carrier, master, mtu }: Link): string {
  return `${name} mtu ${mtu}${master === undefined ? '' : ` master ${master}`} ${up ? 'up' : 'down'}${carrier ? '' : ', no carrier'}`
}

/** Out of a port of the bridge. */
export function* walkToPod(here: Here, flow: Flow): Walk<Hop[]> {
  const attachment = attachmentOf(here, flow.destination)
  if (attachment === undefined) {
    const object = `no pod of this node has ${flow.destination}`
    return [
      {
        at: here.bridge,
        object,
        command: `ip neighbour show dev ${here.bridge}`,
        broken: {
          problem: `${object}: nobody answers`,
          remedy: 'look for the pod that you mean: kubectl get pods -A -o wide',
        },
      },
    ]
  }
  const wire = yield* walkWire(here, attachment)
  if (wire.broken !== undefined) return [wire]
  const { hostInterface, podMac, podInterface, netns } = attachment
  const port = (yield* ask('links', {})).find(({ name }) => name === hostInterface)
  // Translated on the bridge, it is sent out by the port that it came in by; where it is routed, the bridge itself
  // sends it.
  if (
    flow.wire === hostInterface &&
    port?.hairpin === false &&
    (yield* ask('sysctl', { key: bridgeFilterKeys[flow.family] })) === '1'
  ) {
    return [
      {
        ...wire,
        broken: {
          problem: `the pod is to reach itself, and ${hostInterface} does not send back what came in by it`,
          remedy: `bridge link set dev ${hostInterface} hairpin on`,
        },
      },
    ]
  }
  const learned =
    (yield* ask('fdb', { device: hostInterface }))?.some(({ mac, self }) => mac === podMac && !self) === true
  const links = yield* ask('linksIn', { netns })
  const address = links
    ?.find(({ name }) => name === podInterface)
    ?.addresses.find((each) => each.address === flow.destination)
  const pod = {
    at: `pod ${nameOf(attachment)}`,
    object: address === undefined ? podInterface : `${podInterface} ${address.address}/${address.prefix} up`,
    command: `nsenter --net=${netns} ip address show dev ${podInterface}`,
  }
  if (links !== undefined && address === undefined)
    return [
      wire,
      {
        ...pod,
        broken: {
          problem: `${podInterface} of ${nameOf(attachment)} has not the address ${flow.destination}`,
          remedy: `nsenter --net=${netns} ip address add ${flow.destination} dev ${podInterface}, or start the pod again`,
        },
      },
    ]
  return [
    {
      at: here.bridge,
      object: learned ? `${podMac} dev ${hostInterface} master ${here.bridge}` : `${podMac} not learned`,
      ...(learned ? {} : { note: 'the bridge asks all its ports' }),
      command: `bridge fdb show br ${here.bridge}`,
    },
    wire,
    ...(links === undefined ? [] : [pod]),
    ...(yield* walkToProcess(flow, nameOf(attachment), netns)),
  ]
}

/** Into the tunnel. @param gateway of the route: the address of the other node's VTEP */
export function* walkTunnel(here: Here, flow: Flow, gateway: Address, peer: ClusterNode | undefined): Walk<Hop[]> {
  const { vxlanDevice: device } = here
  const vtepName = peer === undefined ? `the VTEP at ${gateway}` : `the VTEP of ${peer.name}`
  const neighbour = (yield* ask('neighbours', { family: flow.family, device }))?.find(
    ({ address }) => address === gateway,
  )
  const command = `ip neighbour show ${gateway} dev ${device}`
  const base = peer?.podCidrs.find((cidr) => cidr.family === 4)?.network
  const vtep = base ?? (familyOf(gateway) === 4 ? gateway : undefined)
  const mac = vtep === undefined ? neighbour?.mac : macOf('vtep', vtep)
  if (neighbour?.mac === undefined || (mac !== undefined && neighbour.mac !== mac)) {
    const problem =
      neighbour?.mac === undefined
        ? `${device} has no neighbour entry for ${gateway}, the VTEP of ${peer?.name ?? 'its node'}`
        : `${device} has ${neighbour.mac} for ${gateway}, the VTEP of ${peer?.name ?? 'its node'}, which has ${mac}`
    return [
      {
        at: device,
        object: `no neighbour ${gateway}`,
        command,
        broken: {
          problem: `${problem}: packets stop here`,
          remedy: `${agentMends}: ip neighbour replace ${gateway} lladdr ${mac ?? 'MAC'} dev ${device} nud permanent`,
        },
      },
    ]
  }
  const hop: Hop = {
    at: device,
    object: `${gateway} lladdr ${neighbour.mac}${neighbour.permanent ? ' PERMANENT' : ''}`,
    command,
  }
  const remote = (yield* ask('fdb', { device }))?.find(
    (entry) => entry.mac === neighbour.mac && entry.destination !== undefined,
  )?.destination
  const entry = {
    at: device,
    object: remote === undefined ? `no FDB entry ${neighbour.mac}` : `${neighbour.mac} dst ${remote} self permanent`,
    command: `bridge fdb show dev ${device}`,
  }
  const own = peer?.internalAddresses.map(String) ?? []
  if (remote === undefined || (own.length > 0 && !own.includes(remote))) {
    const problem =
      remote === undefined
        ? `${device} has no FDB entry for ${neighbour.mac}, ${vtepName}`
        : `${device} sends what is for ${peer?.name} to ${remote}, which is not its address`
    return [
      hop,
      {
        ...entry,
        broken: {
          problem: `${problem}: packets stop here`,
          remedy: `${agentMends}: bridge fdb replace ${neighbour.mac} dev ${device} dst ${own[0] ?? "THE NODE'S ADDRESS"} self permanent`,
        },
      },
    ]
  }
  return [hop, entry, ...(yield* walkUnderlay(here, flow, remote, peer))]
}

/** From this node's wire to another node's, and on to its pod. */
export function* walkUnderlay(here: Here, flow: Flow, remote: Address, peer: ClusterNode | undefined): Walk<Hop[]> {
  const route = yield* ask('route', { destination: remote })
  if (route.type === 'none')
    return [
      {
        at: 'underlay',
        object: `no route to ${remote}`,
        command: route.command,
        broken: {
          problem: `this node has no route to ${remote}, the address of ${peer?.name ?? 'the node'}: ${route.reason}`,
          remedy: "repair the machine's own network",
        },
      },
    ]
  const hops = yield* walkNextHop(flow, route.device, route.gateway ?? remote, {
    at: 'underlay',
    object: route.line,
    command: route.command,
  })
  if (hops.some(({ broken }) => broken !== undefined)) return hops
  return [...hops, ...(yield* walkFarNode(here, flow, remote, peer))]
}

/** What can be told from here of what another node does. */
function* walkFarNode(here: Here, flow: Flow, remote: Address, peer: ClusterNode | undefined): Walk<Hop[]> {
  const node = peer?.name ?? remote
  const [found] = yield* ask('lookup', { of: [flow.destination] })
  const arrival: Hop = {
    at: node,
    object: `${flow.destination} behind ${remote}`,
    note: 'its own kernel delivers it',
    command: farCommand(flow, node),
  }
  const cidr = peer?.podCidrs.find((each) => cidrContains(each, flow.destination))
  const isOwn = cidr !== undefined && [cidr.network, nthAddress(cidr, 1)].includes(flow.destination)
  if (found?.allPods === true && found.pods.length === 0 && cidr !== undefined && !isOwn) {
    return [
      {
        ...arrival,
        broken: {
          problem: `no pod of ${node} has ${flow.destination}, as far as the agent here knows`,
          remedy: 'look for the pod that you mean: kubectl get pods -A -o wide',
        },
      },
    ]
  }
  const policies = yield* walkFarPolicies(here, flow, node)
  return policies.some(({ broken }) => broken !== undefined) ? policies : [...policies, arrival]
}

/** Whoever is next must have answered for its address, or not have been asked yet. */
export function* walkNextHop(flow: Flow, device: string, next: Address, hop: Hop): Walk<Hop[]> {
  const neighbour = (yield* ask('neighbours', { family: familyOf(next), device }))?.find(
    ({ address }) => address === next,
  )
  if (neighbour === undefined || neighbour.mac !== undefined) return [hop]
  const asked = `ip neighbour show ${next} dev ${device}`
  return [
    hop,
    {
      at: device,
      object: `${next} FAILED`,
      command: asked,
      broken: {
        problem: `nobody answers for ${next} on ${device}: what is for ${flow.destination} gets no further`,
        remedy: `see whether that machine is up and on the same link: ping ${next}`,
      },
    },
  ]
}
