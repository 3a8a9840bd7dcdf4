// Resolves the two ends of a trace to addresses.
import type { Found, FoundPod, FoundService } from '../../agent/lookup-shape.ts'
import type { Protocol } from '../../cluster/service.ts'
import { type Address, canonicalAddress, type Family, familyOf, parseAddress } from '../../net/address.ts'
import type { PodAttachment } from '../../pods/attachment-codec.ts'
import { attachmentOf, type LocalNode, podName } from './flow.ts'
import {
  ambiguousName,
  attachmentNamed,
  candidatesOf,
  describeLocalPod,
  type TraceArgument,
  TraceInputError,
  unknownName,
} from './trace-argument.ts'

/** The sender of the packet. */
export type TraceSource =
  | { readonly kind: 'pod'; readonly text: string; readonly attachment: PodAttachment }
  | { readonly kind: 'node'; readonly text: string }
  /** Not on this node: the packet enters here with one of these source addresses. */
  | {
      readonly kind: 'remote'
      readonly text: string
      readonly origin: 'pod' | 'node' | 'outside'
      readonly node: string | undefined
      readonly addresses: readonly Address[]
    }

/** The destination of the packet. */
export interface TraceTarget {
  readonly text: string
  readonly address: Address
  readonly port: number
  readonly protocol: Protocol
  /** "namespace/name" when the address belongs to a Service, whose rules must then translate it. */
  readonly service: string | undefined
  /** An external or load balancer address of a Service, which no node has. */
  readonly external: boolean
}

/** Clients outside the cluster: addresses reserved for documentation (RFC 5737, RFC 3849). */
const outsideClient: Readonly<Record<Family, Address>> = {
  4: parseAddress('203.0.113.1'),
  6: parseAddress('2001:db8::1'),
}

/**
 * Resolves the sender.
 * @param found the agent's answer about the name; undefined when it does not answer.
 * @throws {TraceInputError} when the name is unknown or ambiguous.
 */
export function resolveSource(argument: TraceArgument, found: Found | undefined, local: LocalNode): TraceSource {
  const { kind, name } = argument
  if (name === 'outside')
    return {
      kind: 'remote',
      text: `a client outside the cluster (as ${outsideClient[4]})`,
      origin: 'outside',
      node: undefined,
      addresses: Object.values(outsideClient),
    }
  const address = canonicalAddress(name)
  const attachment = address === undefined ? attachmentNamed(local, name) : attachmentOf(local, address)
  if (attachment !== undefined && kind !== 'node' && kind !== 'service')
    return { kind: 'pod', text: describeLocalPod(attachment, local), attachment }
  const { pods, nodes } = candidatesOf(argument, found, local)
  const [pod, node] = [pods[0], nodes[0]]
  if (pods.length + nodes.length > 1 && address === undefined) throw ambiguousName(name, { pods, services: [], nodes })
  if (node !== undefined || pod?.hostNetwork === true) return nodeSource(node ?? pod?.node ?? '', pod, address, local)
  if (pod !== undefined) return remotePodSource(pod)
  if (address === undefined) throw unknownName(name, found, 'No pod or node')
  return { kind: 'remote', text: `${address}, outside`, origin: 'outside', node: undefined, addresses: [address] }
}

/** @param pod the pod that uses the node's network; undefined for the node itself. */
function nodeSource(
  name: string,
  pod: FoundPod | undefined,
  address: Address | undefined,
  local: LocalNode,
): TraceSource {
  const text = pod === undefined ? `node ${name}` : `pod ${pod.namespace}/${pod.name}, in the network of node ${name}`
  if (name === local.node) return { kind: 'node', text }
  const addresses = local.nodes.find((each) => each.name === name)?.internalAddresses ?? []
  return {
    kind: 'remote',
    text,
    origin: 'node',
    node: name,
    addresses: address === undefined ? addresses : [address],
  }
}

function remotePodSource({ namespace, name, node, phase, addresses }: FoundPod): TraceSource {
  if (addresses.length === 0) throw new TraceInputError(`Pod ${namespace}/${name} has no address yet: it is ${phase}`)
  return {
    kind: 'remote',
    text: `pod ${namespace}/${name} (${addresses.join(', ')}, ${node ?? 'no node'})`,
    origin: 'pod',
    node,
    addresses,
  }
}

/**
 * Resolves the destination.
 * @param found the agent's answer about the name; undefined when it does not answer.
 * @param source decides which family, and which address of a Service, the client uses.
 * @throws {TraceInputError} when the name is unknown or ambiguous, or has no address or port for this client.
 */
export function resolveTarget(
  argument: TraceArgument,
  found: Found | undefined,
  source: TraceSource,
  protocol: Protocol,
  local: LocalNode,
): TraceTarget {
  const { kind, name, port } = argument
  const address = canonicalAddress(name)
  const { pods, services, nodes } = candidatesOf(argument, found, local)
  const [service, pod, node] = [services[0], pods[0], nodes[0]]
  if (address !== undefined) return addressTarget(address, port, protocol, service, pod, local)
  const attachment = kind !== 'service' && kind !== 'node' ? attachmentNamed(local, name) : undefined
  const count = pods.length + services.length + nodes.length
  if (attachment === undefined && count === 0) throw unknownName(name, found, 'No pod, Service or node')
  if (count > 1) throw ambiguousName(name, { pods, services, nodes })
  if (service !== undefined) return serviceTarget(service, port, source, protocol, local)
  const addresses =
    attachment?.addresses ?? pod?.addresses ?? local.nodes.find((each) => each.name === node)?.internalAddresses ?? []
  const reachable = addresses.find((each) => familiesOf(source).includes(familyOf(each)))
  if (reachable === undefined) {
    const phase = pod === undefined ? '' : `: it is ${pod.phase}`
    throw new TraceInputError(`${name} has no address that ${source.text} could reach it by${phase}`)
  }
  const target = attachment === undefined ? `${pod?.namespace}/${pod?.name}` : podName(attachment)
  return {
    text:
      node === undefined ? `pod ${target} (${reachable}, ${pod?.node ?? local.node})` : `node ${node} (${reachable})`,
    address: reachable,
    port: podPort(port, pod, protocol),
    protocol,
    service: undefined,
    external: false,
  }
}

function addressTarget(
  address: Address,
  port: string | undefined,
  protocol: Protocol,
  service: FoundService | undefined,
  pod: FoundPod | undefined,
  local: LocalNode,
): TraceTarget {
  const serviceName = service === undefined ? undefined : `${service.namespace}/${service.name}`
  const owner = serviceName === undefined ? describePod(pod, attachmentOf(local, address)) : ` (Service ${serviceName})`
  return {
    text: `${address}${owner}`,
    address,
    port: portNumber(port, service, protocol),
    protocol,
    service: serviceName,
    external: service !== undefined && !service.clusterIps.includes(address),
  }
}

/** Chooses the address that the client would use: ClusterIP inside, an external address or a node port outside. */
function serviceTarget(
  service: FoundService,
  port: string | undefined,
  source: TraceSource,
  protocol: Protocol,
  local: LocalNode,
): TraceTarget {
  const name = `${service.namespace}/${service.name}`
  const servicePort = servicePortOf(service, port, protocol)
  const families = familiesOf(source)
  const pick = (addresses: readonly Address[]): Address | undefined =>
    addresses.find((each) => families.includes(familyOf(each)))
  const target = { port: servicePort.port, protocol, service: name, external: false }
  if (!(source.kind === 'remote' && source.origin === 'outside')) {
    const clusterIp = pick(service.clusterIps)
    if (clusterIp === undefined)
      throw new TraceInputError(`Service ${name} has no cluster IP of a family that ${source.text} has`)
    return { ...target, text: `Service ${name} (${clusterIp})`, address: clusterIp }
  }
  const external = pick([...service.loadBalancerIps, ...service.externalIps])
  if (external !== undefined)
    return { ...target, text: `Service ${name} (${external})`, address: external, external: true }
  const nodeAddress = pick(local.nodes.find((each) => each.name === local.node)?.internalAddresses ?? [])
  if (servicePort.nodePort !== 0 && nodeAddress !== undefined)
    return {
      ...target,
      text: `Service ${name} (node port ${servicePort.nodePort} of ${local.node})`,
      address: nodeAddress,
      port: servicePort.nodePort,
    }
  return {
    ...target,
    text: `Service ${name} (${service.clusterIps[0]})`,
    address: service.clusterIps[0] ?? parseAddress('0.0.0.0'),
  }
}

function servicePortOf(
  service: FoundService,
  port: string | undefined,
  protocol: Protocol,
): FoundService['ports'][number] {
  const name = `${service.namespace}/${service.name}`
  const ports = service.ports.filter(
    (each) => each.protocol === protocol && (port === undefined || each.name === port || String(each.port) === port),
  )
  const list = service.ports
    .map((each) => `${each.name === '' ? '' : `${each.name} `}${each.port}/${each.protocol}`)
    .join(', ')
  const [only] = ports
  if (only === undefined) {
    const wanted = port === undefined ? `of ${protocol}` : `${port}/${protocol}`
    throw new TraceInputError(`Service ${name} has no port ${wanted}: it has ${list}`)
  }
  if (ports.length > 1)
    throw new TraceInputError(`Service ${name} has ${ports.length} ports of ${protocol}: say which of ${list}`)
  return only
}

/** Returns the families that the sender has addresses of. */
function familiesOf(source: TraceSource): Family[] {
  const addresses =
    source.kind === 'pod' ? source.attachment.addresses : source.kind === 'remote' ? source.addresses : []
  return addresses.length === 0 ? [4, 6] : [...new Set(addresses.map(familyOf))]
}

/** Returns the port by number or name; without one, the pod's only named port of the protocol. */
function podPort(port: string | undefined, pod: FoundPod | undefined, protocol: Protocol): number {
  const ports = pod?.ports.filter((each) => each.protocol === protocol) ?? []
  if (port === undefined && ports.length === 1) return ports[0]?.port ?? 80
  return ports.find(({ name }) => name === port)?.port ?? portNumber(port, undefined, protocol)
}

/** Returns the port by number or by name; without one, the Service's first port of the protocol, else 80. */
function portNumber(port: string | undefined, service: FoundService | undefined, protocol: Protocol): number {
  if (port === undefined) return service?.ports.find((each) => each.protocol === protocol)?.port ?? 80
  const named = service?.ports.find(({ name }) => name === port)?.port
  const number = named ?? Number(port)
  if (!Number.isInteger(number) || number < 1 || number > 65535)
    throw new TraceInputError(`Expected a port from 1 to 65535, or the name of one of its ports, got \`${port}\``)
  return number
}

function describePod(pod: FoundPod | undefined, attachment: PodAttachment | undefined): string {
  if (attachment !== undefined) return ` (pod ${podName(attachment)})`
  return pod === undefined ? '' : ` (pod ${pod.namespace}/${pod.name}, ${pod.node ?? 'no node'})`
}
