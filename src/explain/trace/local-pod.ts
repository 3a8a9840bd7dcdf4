// Delivery to a pod of this node: from the bridge by a veth pair to its interface and its process.
import type { Link } from '../../kernel/observed.ts'
import type { PodAttachment } from '../../pods/attachment-codec.ts'
import { attachmentOf, bridgeFilterKeys, type Flow, type LocalNode, podName } from './flow.ts'
import { agentRepairs, type Broken, type Hop } from './hop.ts'
import { walkToProcess } from './process.ts'
import { ask, type TraceWalk } from './question.ts'

/**
 * Checks the veth pair of a pod, in either direction.
 * @returns one hop, broken if the pair or the bridge is.
 */
export function* walkVeth(local: LocalNode, attachment: PodAttachment): TraceWalk<Hop> {
  const { hostInterface, podInterface, netns } = attachment
  const links = yield* ask('links', {})
  const veth = links.find(({ name }) => name === hostInterface)
  const hop = {
    at: 'veth',
    object: veth === undefined ? `no ${hostInterface}` : describeLink(veth),
    command: `bridge -d link show dev ${hostInterface}`,
  }
  const bridge = links.find(({ name }) => name === local.bridge)
  const broken = hostFault(local, attachment, veth, bridge)
  if (broken !== undefined) return { ...hop, broken }
  const inside = yield* ask('linksIn', { netns })
  // The kernel deletes the veth pair with the namespace: because the pair exists, the namespace only cannot be entered.
  if (inside === undefined) return { ...hop, note: `the pod's namespace cannot be entered from here: ${netns}` }
  const link = inside.find(({ name }) => name === podInterface)
  if (link?.up === true) return hop
  return {
    ...hop,
    command: `nsenter --net=${netns} ip address show`,
    broken: {
      problem: `${podInterface} of ${podName(attachment)} ${link === undefined ? 'does not exist' : 'is down'}`,
      remedy:
        link === undefined
          ? restartPod(attachment)
          : `nsenter --net=${netns} ip link set ${podInterface} up, and see that its routes are back; ` +
            `or ${restartPod(attachment)}`,
    },
  }
}

/** Finds what is wrong with the host end of the pair, or with the bridge. */
function hostFault(
  { bridge: bridgeName }: LocalNode,
  attachment: PodAttachment,
  veth: Link | undefined,
  bridge: Link | undefined,
): Broken | undefined {
  const { hostInterface } = attachment
  const name = `${hostInterface}, the veth of ${podName(attachment)},`
  if (veth === undefined) return { problem: `${name} does not exist`, remedy: restartPod(attachment) }
  if (!veth.up) return { problem: `${name} is down`, remedy: `ip link set ${hostInterface} up` }
  if (veth.master !== bridgeName)
    return {
      problem: `${name} is not a port of ${bridgeName}`,
      remedy: `ip link set ${hostInterface} master ${bridgeName}`,
    }
  if (bridge?.up === true) return undefined
  return {
    problem: `the bridge ${bridgeName} ${bridge === undefined ? 'does not exist' : 'is down'}`,
    remedy: `${agentRepairs}; by hand: ip link set ${bridgeName} up`,
  }
}

function restartPod({ pod }: PodAttachment): string {
  const command = pod === undefined ? 'delete pod' : `-n ${pod.namespace} delete pod ${pod.name}`
  return `start the pod again: kubectl ${command}`
}

function describeLink({ name, up, carrier, master, mtu }: Link): string {
  const port = master === undefined ? '' : ` master ${master}`
  return `${name} mtu ${mtu}${port} ${up ? 'up' : 'down'}${carrier ? '' : ', no carrier'}`
}

/** Walks from the bridge to the pod with the destination address. */
export function* walkToPod(local: LocalNode, flow: Flow): TraceWalk<Hop[]> {
  const attachment = attachmentOf(local, flow.destination)
  if (attachment === undefined) return [noSuchPod(local, flow)]
  const veth = yield* walkVeth(local, attachment)
  if (veth.broken !== undefined) return [veth]
  const { hostInterface, podMac, podInterface, netns } = attachment
  if (flow.hostInterface === hostInterface && (yield* isHairpinBlocked(flow, hostInterface))) {
    const broken = {
      problem: `the pod sends to itself, and ${hostInterface} does not send packets back (hairpin is off)`,
      remedy: `bridge link set dev ${hostInterface} hairpin on`,
    }
    return [{ ...veth, broken }]
  }
  const learned =
    (yield* ask('fdb', { device: hostInterface }))?.some(({ mac, self }) => mac === podMac && !self) === true
  const links = yield* ask('linksIn', { netns })
  const address = links
    ?.find(({ name }) => name === podInterface)
    ?.addresses.find((each) => each.address === flow.destination)
  const pod = {
    at: `pod ${podName(attachment)}`,
    object: address === undefined ? podInterface : `${podInterface} ${address.address}/${address.prefix} up`,
    command: `nsenter --net=${netns} ip address show dev ${podInterface}`,
  }
  if (links !== undefined && address === undefined) {
    const broken = {
      problem: `${podInterface} of ${podName(attachment)} does not have the address ${flow.destination}`,
      remedy: `nsenter --net=${netns} ip address add ${flow.destination} dev ${podInterface}, or start the pod again`,
    }
    return [veth, { ...pod, broken }]
  }
  return [
    {
      at: local.bridge,
      object: learned ? `${podMac} dev ${hostInterface} master ${local.bridge}` : `${podMac} not learned`,
      ...(learned ? {} : { note: 'the bridge floods all its ports' }),
      command: `bridge fdb show br ${local.bridge}`,
    },
    veth,
    ...(links === undefined ? [] : [pod]),
    ...(yield* walkToProcess(flow, podName(attachment), netns)),
  ]
}

/**
 * Returns true when the bridge drops a packet because it would leave by the port it came in by. That concerns packets
 * that iptables translates on the bridge; a routed packet is sent by the bridge itself.
 */
function* isHairpinBlocked({ family }: Flow, hostInterface: string): TraceWalk<boolean> {
  const port = (yield* ask('links', {})).find(({ name }) => name === hostInterface)
  if (port?.hairpin !== false) return false
  return (yield* ask('sysctl', { key: bridgeFilterKeys[family] })) === '1'
}

function noSuchPod({ bridge }: LocalNode, { destination }: Flow): Hop {
  const object = `no pod of this node has ${destination}`
  return {
    at: bridge,
    object,
    command: `ip neighbour show dev ${bridge}`,
    broken: {
      problem: `${object}: nothing answers`,
      remedy: 'look for the pod that you mean: kubectl get pods -A -o wide',
    },
  }
}
