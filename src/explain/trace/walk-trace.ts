// Walks a packet from its sender to all its ends.
import { type Address, familyOf } from '../../net/address.ts'
import { cidrContains } from '../../net/cidr.ts'
import { attachmentOf, type Flow, type LocalNode, nodeOfPod, podName } from './flow.ts'
import { walkFlow } from './forward.ts'
import { type Broken, type Hop, isBroken, type Path, prepend, singlePath } from './hop.ts'
import { walkVeth } from './local-pod.ts'
import { noRoute } from './misrouting.ts'
import { walkSourceCheck } from './policies.ts'
import { walkToProcess } from './process.ts'
import { ask, type TraceWalk } from './question.ts'
import { TraceInputError } from './trace-argument.ts'
import type { TraceSource, TraceTarget } from './trace-ends.ts'

/** @throws {TraceInputError} when the packet does not pass this node. */
export function* walkTrace(local: LocalNode, source: TraceSource, target: TraceTarget): TraceWalk<Path> {
  switch (source.kind) {
    case 'pod':
      return yield* walkFromPod(local, source, target)
    case 'node':
      return yield* walkFromNode(local, target)
    case 'remote':
      return yield* walkFromRemote(local, source, target)
  }
}

function* walkFromPod(
  local: LocalNode,
  { attachment }: Extract<TraceSource, { kind: 'pod' }>,
  target: TraceTarget,
): TraceWalk<Path> {
  const { netns, addresses, hostInterface, routed, podCidrs } = attachment
  const family = familyOf(target.address)
  const source = addresses.find((address) => familyOf(address) === family)
  if (source === undefined)
    throw new TraceInputError(`The pod has no IPv${family} address, so it cannot reach ${target.address}`)
  const veth = yield* walkVeth(local, attachment)
  if (veth.broken !== undefined) return singlePath([veth])
  const entry = [veth, ...(yield* walkSourceCheck(hostInterface, source))]
  const flowTo = (bridged: boolean): Flow => flowOf(target, { source, device: local.bridge, hostInterface, bridged })
  if ((yield* ask('linksIn', { netns })) === undefined) {
    const bridged = !routed && podCidrs.some((cidr) => cidrContains(cidr, target.address))
    return isBroken(entry) ? singlePath(entry) : prepend(entry, yield* walkFlow(local, flowTo(bridged), target))
  }
  const route = yield* ask('route', { destination: target.address, netns })
  const hop: Hop = {
    at: 'in the pod',
    object: route.type === 'none' ? `no route to ${target.address}` : route.line,
    command: route.command,
  }
  if (route.type === 'none') {
    const broken = {
      problem: `the pod itself has no route to ${target.address}: ${route.reason}`,
      remedy: `start the pod again, or see what has changed its routes: nsenter --net=${netns} ip route show`,
    }
    return singlePath([{ ...hop, broken }])
  }
  const flow = flowTo(route.type !== 'local' && route.gateway === undefined)
  if (route.type === 'local')
    return singlePath([
      { ...hop, note: 'its own address: the packet stays in the pod' },
      ...(yield* walkToProcess(flow, podName(attachment), netns)),
    ])
  if (isBroken(entry)) return singlePath([hop, ...entry])
  return prepend([hop, ...entry], yield* walkFlow(local, flow, target))
}

function* walkFromNode(local: LocalNode, target: TraceTarget): TraceWalk<Path> {
  const route = yield* ask('route', { destination: target.address })
  const flowFrom = (source: Address): Flow => flowOf(target, { source, device: undefined, bridged: false })
  if (route.type === 'none') return singlePath([yield* noRoute(local, flowFrom(target.address), route)])
  return yield* walkFlow(local, flowFrom(route.source ?? target.address), target)
}

/** Walks a packet that enters this node from another machine. */
function* walkFromRemote(
  local: LocalNode,
  source: Extract<TraceSource, { kind: 'remote' }>,
  target: TraceTarget,
): TraceWalk<Path> {
  const links = yield* ask('links', {})
  const isOwn = links.some(({ addresses }) => addresses.some(({ address }) => address === target.address))
  checkPassesHere(local, source, target, isOwn)
  const family = familyOf(target.address)
  const address = source.addresses.find((each) => familyOf(each) === family)
  if (address === undefined)
    throw new TraceInputError(`${source.text} has no IPv${family} address, so it cannot reach ${target.address}`)
  const sender = source.origin === 'node' ? yield* tunnelSource(local, source.node, target, address) : address
  const back = yield* ask('route', { destination: sender })
  const hop: Hop = {
    at: source.origin === 'outside' ? 'outside' : (source.node ?? 'elsewhere'),
    object: back.type === 'none' ? `no route back to ${sender}` : back.line,
    note: `comes from ${sender}, by the device that leads back there`,
    command: back.command,
  }
  if (back.type === 'none') {
    const broken = {
      problem: `this node has no route back to ${sender}: ${back.reason}`,
      remedy: 'give the machine a route to it, such as a default route, in its own network configuration',
    }
    return singlePath([{ ...hop, broken }])
  }
  const unreachable = source.origin === 'outside' ? unreachableFromOutside(local, target, isOwn) : undefined
  if (unreachable !== undefined) return singlePath([{ ...hop, broken: unreachable }])
  const flow = flowOf(target, { source: sender, device: back.device, bridged: false })
  return prepend([hop], yield* walkFlow(local, flow, target))
}

/**
 * @param isOwn the target is an address of this node.
 * @throws {TraceInputError} that names the node to ask, unless the packet comes to this one.
 */
function checkPassesHere(
  local: LocalNode,
  source: Extract<TraceSource, { kind: 'remote' }>,
  target: TraceTarget,
  isOwn: boolean,
): void {
  const { node } = local
  const arrivesHere = isOwn || attachmentOf(local, target.address) !== undefined
  if (source.origin !== 'outside' && !arrivesHere) {
    const other = source.node ?? 'the node that it starts from'
    throw new TraceInputError(`Neither ${source.text} nor ${target.text} is on ${node}: ask on ${other}`)
  }
  const other =
    nodeOfPod(local, target.address)?.name ??
    local.nodes.find(({ internalAddresses }) => internalAddresses.includes(target.address))?.name
  if (other !== undefined && other !== node)
    throw new TraceInputError(`${target.text} is not on ${node}: ask on ${other}`)
}

/** Another node sends to pods from its tunnel address, and to nodes from its own address. */
function* tunnelSource(
  local: LocalNode,
  node: string | undefined,
  target: TraceTarget,
  address: Address,
): TraceWalk<Address> {
  const vtep = local.nodes
    .find(({ name }) => name === node)
    ?.podCidrs.find((cidr) => cidr.family === familyOf(target.address))?.network
  if (vtep === undefined || attachmentOf(local, target.address) === undefined) return address
  const route = yield* ask('route', { destination: vtep })
  return route.type !== 'none' && route.device === local.vxlanDevice ? vtep : address
}

/** Explains why a client outside the cluster does not reach a ClusterIP or a pod address. */
function unreachableFromOutside(
  local: LocalNode,
  { address, service, external }: TraceTarget,
  isOwn: boolean,
): Broken | undefined {
  if (isOwn || external) return undefined
  if (service !== undefined)
    return {
      problem:
        `clients outside the cluster have no route to ${address}, a cluster IP, unless one was added: ` +
        `Service ${service} is not exposed`,
      remedy: 'make it a Service of type NodePort or LoadBalancer, or give it an external IP',
    }
  if (nodeOfPod(local, address) === undefined && attachmentOf(local, address) === undefined)
    throw new TraceInputError(
      `Neither end is in the cluster: ${address} is not an address of this node, of a pod or of a Service`,
    )
  return {
    problem: `clients outside the cluster have no route to ${address}, the address of a pod, unless one was added`,
    remedy: 'reach it by a Service of type NodePort or LoadBalancer, or by a hostPort',
  }
}

function flowOf(
  { address, port, protocol }: TraceTarget,
  rest: Pick<Flow, 'source' | 'device' | 'bridged'> & Partial<Flow>,
): Flow {
  return {
    family: familyOf(address),
    destination: address,
    port,
    protocol,
    hostInterface: undefined,
    mark: 0,
    translated: false,
    ...rest,
  }
}
