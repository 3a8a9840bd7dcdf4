// A trace: from where the packet starts to all its ends.
import { type Address, familyOf } from '../../net/address.ts'
import { cidrContains } from '../../net/cidr.ts'
import { walkFlow } from './deliver.ts'
import { attachmentOf, type Flow, type Here, nameOf, nodeOfPod } from './flow.ts'
import { after, type Hop, type Path, straight } from './hop.ts'
import { walkWire } from './link.ts'
import { noRoute } from './misrouting.ts'
import { type Goal, PlaceError, type Start } from './place.ts'
import { walkSource } from './policies.ts'
import { walkToProcess } from './process.ts'
import { ask, type Walk } from './question.ts'

export function* walkTrace(here: Here, start: Start, goal: Goal): Walk<Path> {
  switch (start.kind) {
    case 'pod':
      return yield* fromPod(here, start, goal)
    case 'node':
      return yield* fromNode(here, goal)
    case 'away':
      return yield* fromAway(here, start, goal)
  }
}

function* fromPod(here: Here, { attachment }: Extract<Start, { kind: 'pod' }>, goal: Goal): Walk<Path> {
  const { netns, addresses } = attachment
  const family = familyOf(goal.address)
  const source = addresses.find((address) => familyOf(address) === family)
  if (source === undefined)
    throw new PlaceError(`The pod has no IPv${family} address, so nothing leads it to ${goal.address}`)
  const wire = yield* walkWire(here, attachment)
  if (wire.broken !== undefined) return straight([wire])
  const entry = [wire, ...(yield* walkSource(attachment.hostInterface, source))]
  const flowBy = (bridged: boolean): Flow =>
    flowTo(goal, { source, device: here.bridge, wire: attachment.hostInterface, bridged })
  if ((yield* ask('linksIn', { netns })) === undefined) {
    const neighbour = !attachment.routed && attachment.podCidrs.some((cidr) => cidrContains(cidr, goal.address))
    return isStopped(entry) ? straight(entry) : after(entry, yield* walkFlow(here, flowBy(neighbour), goal))
  }
  const route = yield* ask('route', { destination: goal.address, netns })
  const hop: Hop = {
    at: 'in the pod',
    object: route.type === 'none' ? `no route to ${goal.address}` : route.line,
    command: route.command,
  }
  if (route.type === 'none') {
    const remedy = `start the pod again, or see what has changed its routes: nsenter --net=${netns} ip route show`
    return straight([
      { ...hop, broken: { problem: `the pod itself has no route to ${goal.address}: ${route.reason}`, remedy } },
    ])
  }
  const flow = flowBy(route.type !== 'local' && route.gateway === undefined)
  if (route.type === 'local')
    return straight([
      { ...hop, note: 'its own address: it stays in the pod' },
      ...(yield* walkToProcess(flow, nameOf(attachment), netns)),
    ])
  if (isStopped(entry)) return straight([hop, ...entry])
  return after([hop, ...entry], yield* walkFlow(here, flow, goal))
}

function isStopped(hops: readonly Hop[]): boolean {
  return hops.at(-1)?.broken !== undefined
}

function* fromNode(here: Here, goal: Goal): Walk<Path> {
  const route = yield* ask('route', { destination: goal.address })
  const flow = (source: Address): Flow => flowTo(goal, { source, device: undefined, bridged: false })
  if (route.type === 'none') return straight([yield* noRoute(here, flow(goal.address), route)])
  return yield* walkFlow(here, flow(route.source ?? goal.address), goal)
}

/** As it comes in here. */
function* fromAway(here: Here, start: Extract<Start, { kind: 'away' }>, goal: Goal): Walk<Path> {
  const family = familyOf(goal.address)
  const own = (yield* ask('links', {})).some(({ addresses }) =>
    addresses.some(({ address }) => address === goal.address),
  )
  const comesHere = own || attachmentOf(here, goal.address) !== undefined
  if (start.who !== 'outside' && !comesHere)
    throw new PlaceError(
      `Neither ${start.text} nor ${goal.text} is on ${here.node}: ask on ${start.node ?? 'the node that it starts from'}`,
    )
  const other =
    nodeOfPod(here, goal.address)?.name ??
    here.nodes.find(({ internalAddresses }) => internalAddresses.includes(goal.address))?.name
  if (other !== undefined && other !== here.node)
    throw new PlaceError(`${goal.text} is not on ${here.node}: ask on ${other}`)
  const address = start.addresses.find((each) => familyOf(each) === family)
  if (address === undefined)
    throw new PlaceError(`${start.text} has no IPv${family} address, so nothing leads it to ${goal.address}`)
  const source = start.who === 'node' ? yield* tunnelSource(here, start.node, goal, address) : address
  const back = yield* ask('route', { destination: source })
  const at = start.who === 'outside' ? 'outside' : (start.node ?? 'elsewhere')
  const hop: Hop = {
    at,
    object: back.type === 'none' ? `no route back to ${source}` : back.line,
    note: `comes from ${source}, by the device that leads back there`,
    command: back.command,
  }
  if (back.type === 'none')
    return straight([
      {
        ...hop,
        broken: {
          problem: `this node has no route back to ${source}: ${back.reason}`,
          remedy: 'give the machine a route to it, such as a default route, in its own network configuration',
        },
      },
    ])
  const unroutable = start.who === 'outside' ? unreachable(here, goal, own) : undefined
  if (unroutable !== undefined) return straight([{ ...hop, broken: unroutable }])
  return after([hop], yield* walkFlow(here, flowTo(goal, { source, device: back.device, bridged: false }), goal))
}

/** Another node sends to pods with the address that its tunnel has, and to nodes with its own. */
function* tunnelSource(here: Here, node: string | undefined, goal: Goal, address: Address): Walk<Address> {
  const vtep = here.nodes
    .find(({ name }) => name === node)
    ?.podCidrs.find((cidr) => cidr.family === familyOf(goal.address))?.network
  if (vtep === undefined || attachmentOf(here, goal.address) === undefined) return address
  const route = yield* ask('route', { destination: vtep })
  return route.type !== 'none' && route.device === here.vxlanDevice ? vtep : address
}

/** What nobody beyond the cluster has a route to, unless somebody gave it one. */
function unreachable(here: Here, { address, service, external }: Goal, own: boolean): Hop['broken'] {
  if (own || external) return undefined
  if (service !== undefined)
    return {
      problem: `nobody outside has a route to ${address}, a cluster IP, unless somebody gave it one: Service ${service} has nothing that leads in`,
      remedy: 'make it a Service of type NodePort or LoadBalancer, or give it an external IP',
    }
  if (nodeOfPod(here, address) === undefined && attachmentOf(here, address) === undefined)
    throw new PlaceError(
      `Neither end is in the cluster: ${address} is no address of this node, of a pod or of a Service`,
    )
  return {
    problem: `nobody outside has a route to ${address}, the address of a pod, unless somebody gave it one`,
    remedy: 'reach it by a Service of type NodePort or LoadBalancer, or by a hostPort',
  }
}

function flowTo(
  { address, port, protocol }: Goal,
  rest: Pick<Flow, 'source' | 'device' | 'bridged'> & Partial<Flow>,
): Flow {
  return {
    family: familyOf(address),
    destination: address,
    port,
    protocol,
    wire: undefined,
    mark: 0,
    translated: false,
    ...rest,
  }
}
