// The two ends of a trace, as people name them, and what they are here.
import type { Found, FoundService } from '../../agent/lookup-shape.ts'
import type { Protocol } from '../../cluster/service.ts'
import { type Address, canonicalAddress, type Family, familyOf, parseAddress } from '../../net/address.ts'
import type { PodAttachment } from '../../pods/attachment-codec.ts'
import { attachmentOf, type Here, nameOf } from './flow.ts'

/** What was asked for cannot be told apart, or is not there: one sentence. */
export class PlaceError extends Error {
  override readonly name = 'PlaceError'
}

export interface Named {
  readonly kind: 'pod' | 'service' | 'node' | undefined
  /** A name, "namespace/name", or an address. */
  readonly of: string
  /** A number, or the name of a Service's port. */
  readonly port: string | undefined
}

/** Where the packet starts. */
export type Start =
  | { readonly kind: 'pod'; readonly text: string; readonly attachment: PodAttachment }
  | { readonly kind: 'node'; readonly text: string }
  /** Elsewhere: it comes in here with this address. */
  | {
      readonly kind: 'away'
      readonly text: string
      readonly who: 'pod' | 'node' | 'outside'
      readonly node: string | undefined
      readonly addresses: readonly Address[]
    }

export interface Goal {
  readonly text: string
  readonly address: Address
  readonly port: number
  readonly protocol: Protocol
  /** "namespace/name" where the address is one of a Service's: then rules have to lead on from it. */
  readonly service: string | undefined
  /** An address that leads in from outside, though no node has it. */
  readonly external: boolean
}

const kinds: Readonly<Record<string, Named['kind']>> = { pod: 'pod', svc: 'service', service: 'service', node: 'node' }

/** "web", "shop/web:80", "svc/shop/web:http", "10.0.0.1:80", "[fd00::1]:80". */
export function parseNamed(text: string): Named {
  if (canonicalAddress(text) !== undefined) return { kind: undefined, of: parseAddress(text), port: undefined }
  const [, kind = '', rest = ''] = /^(?:(pod|svc|service|node)\/)?(.*)$/.exec(text) ?? []
  const [, bracketed, plain = '', port] = /^(?:\[(.*)\]|([^:]*))(?::([a-z0-9-]+))?$/i.exec(rest) ?? []
  const of = bracketed ?? plain
  if (of === '')
    throw new PlaceError(
      `Expected a pod, a Service, a node or an address, with :PORT where it matters, got \`${text}\``,
    )
  return { kind: kinds[kind], of: canonicalAddress(of) ?? of, port }
}

/** Stands for somebody beyond the cluster: an address that documentation is free to use (RFC 5737, RFC 3849). */
const somebody: Readonly<Record<Family, Address>> = { 4: parseAddress('203.0.113.1'), 6: parseAddress('2001:db8::1') }

/** @param found what the agent says of it; undefined where it does not answer */
export function startOf({ kind, of }: Named, found: Found | undefined, here: Here): Start {
  if (of === 'outside')
    return {
      kind: 'away',
      text: `somebody outside (as ${somebody[4]})`,
      who: 'outside',
      node: undefined,
      addresses: Object.values(somebody),
    }
  const address = canonicalAddress(of)
  const attachment = address === undefined ? attachmentNamed(here, of) : attachmentOf(here, address)
  if (attachment !== undefined && kind !== 'node' && kind !== 'service') return podHere(attachment, here)
  const { pods, nodes } = candidates(kind, of, found, here)
  const [pod, node] = [pods[0], nodes[0]]
  if (pods.length + nodes.length > 1 && address === undefined) throw ambiguous(of, pods, [], nodes)
  if (node !== undefined || pod?.hostNetwork === true) {
    const name = node ?? pod?.node ?? ''
    const text = pod === undefined ? `node ${name}` : `pod ${pod.namespace}/${pod.name}, in the network of node ${name}`
    if (name === here.node) return { kind: 'node', text }
    return {
      kind: 'away',
      text,
      who: 'node',
      node: name,
      addresses:
        address === undefined ? (here.nodes.find((each) => each.name === name)?.internalAddresses ?? []) : [address],
    }
  }
  if (pod !== undefined) {
    if (pod.addresses.length === 0)
      throw new PlaceError(`Pod ${pod.namespace}/${pod.name} has no address yet: it is ${pod.phase}`)
    return {
      kind: 'away',
      text: `pod ${pod.namespace}/${pod.name} (${pod.addresses.join(', ')}, ${pod.node ?? 'no node'})`,
      who: 'pod',
      node: pod.node,
      addresses: pod.addresses,
    }
  }
  if (address !== undefined)
    return { kind: 'away', text: `${address}, outside`, who: 'outside', node: undefined, addresses: [address] }
  throw unknown(of, found, 'No pod or node')
}

/** @param start decides by which of its addresses a Service is called */
export function goalOf(
  { kind, of, port }: Named,
  found: Found | undefined,
  start: Start,
  protocol: Protocol,
  here: Here,
): Goal {
  const address = canonicalAddress(of)
  const local = address === undefined && kind !== 'service' && kind !== 'node' ? attachmentNamed(here, of) : undefined
  const { pods, nodes } = candidates(kind, of, found, here)
  const services = kind === undefined || kind === 'service' ? (found?.services ?? []) : []
  if (address !== undefined) {
    const [service, pod] = [services[0], pods[0]]
    const named = service === undefined ? undefined : `${service.namespace}/${service.name}`
    const who = named === undefined ? describePlace(pod, attachmentOf(here, address)) : ` (Service ${named})`
    return {
      text: `${address}${who}`,
      address,
      port: numberOf(port, service, protocol),
      protocol,
      service: named,
      external: service !== undefined && !service.clusterIps.includes(address),
    }
  }
  if (local === undefined && pods.length + services.length + nodes.length === 0)
    throw unknown(of, found, 'No pod, Service or node')
  if (pods.length + services.length + nodes.length > 1) throw ambiguous(of, pods, services, nodes)
  const [service, pod, node] = [services[0], pods[0], nodes[0]]
  if (service !== undefined) return serviceGoal(service, port, start, protocol, here)
  const addresses =
    local?.addresses ?? pod?.addresses ?? here.nodes.find(({ name }) => name === node)?.internalAddresses ?? []
  const [first] = addresses.filter((each) => startFamilies(start).includes(familyOf(each)))
  if (first === undefined)
    throw new PlaceError(
      `${of} has no address that ${start.text} could reach it by${pod === undefined ? '' : `: it is ${pod.phase}`}`,
    )
  const ports = pod?.ports.filter((each) => each.protocol === protocol) ?? []
  const number =
    port === undefined && ports.length === 1
      ? (ports[0]?.port ?? 80)
      : (ports.find(({ name }) => name === port)?.port ?? numberOf(port, undefined, protocol))
  return {
    text:
      node === undefined
        ? `pod ${local === undefined ? `${pod?.namespace}/${pod?.name}` : nameOf(local)} (${first}, ${pod?.node ?? here.node})`
        : `node ${node} (${first})`,
    address: first,
    port: number,
    protocol,
    service: undefined,
    external: false,
  }
}

function serviceGoal(
  service: FoundService,
  port: string | undefined,
  start: Start,
  protocol: Protocol,
  here: Here,
): Goal {
  const named = `${service.namespace}/${service.name}`
  const ports = service.ports.filter(
    (each) => each.protocol === protocol && (port === undefined || each.name === port || String(each.port) === port),
  )
  const listed = service.ports
    .map((each) => `${each.name === '' ? '' : `${each.name} `}${each.port}/${each.protocol}`)
    .join(', ')
  const [own] = ports
  if (own === undefined)
    throw new PlaceError(
      `Service ${named} has no port ${port === undefined ? `of ${protocol}` : `${port}/${protocol}`}: it has ${listed}`,
    )
  if (ports.length > 1)
    throw new PlaceError(`Service ${named} has ${ports.length} ports of ${protocol}: say which of ${listed}`)
  const families = startFamilies(start)
  const pick = (addresses: readonly Address[]): Address | undefined =>
    addresses.find((each) => families.includes(familyOf(each)))
  const goal = { port: own.port, protocol, service: named, external: false }
  if (!(start.kind === 'away' && start.who === 'outside')) {
    const clusterIp = pick(service.clusterIps)
    if (clusterIp === undefined)
      throw new PlaceError(`Service ${named} has no cluster IP of a family that ${start.text} has`)
    return { ...goal, text: `Service ${named} (${clusterIp})`, address: clusterIp }
  }
  const external = pick([...service.loadBalancerIps, ...service.externalIps])
  if (external !== undefined)
    return { ...goal, text: `Service ${named} (${external})`, address: external, external: true }
  const nodeAddress = pick(here.nodes.find(({ name }) => name === here.node)?.internalAddresses ?? [])
  if (own.nodePort !== 0 && nodeAddress !== undefined)
    return {
      ...goal,
      text: `Service ${named} (node port ${own.nodePort} of ${here.node})`,
      address: nodeAddress,
      port: own.nodePort,
    }
  return {
    ...goal,
    text: `Service ${named} (${service.clusterIps[0]})`,
    address: service.clusterIps[0] ?? parseAddress('0.0.0.0'),
  }
}

function startFamilies(start: Start): Family[] {
  const addresses = start.kind === 'pod' ? start.attachment.addresses : start.kind === 'away' ? start.addresses : []
  return addresses.length === 0 ? [4, 6] : [...new Set(addresses.map(familyOf))]
}

function numberOf(port: string | undefined, service: FoundService | undefined, protocol: Protocol): number {
  if (port === undefined) return service?.ports.find((each) => each.protocol === protocol)?.port ?? 80
  const named = service?.ports.find(({ name }) => name === port)?.port
  const number = named ?? Number(port)
  if (!Number.isInteger(number) || number < 1 || number > 65535)
    throw new PlaceError(`Expected a port of 1 to 65535, or the name of one that it has, got \`${port}\``)
  return number
}

function podHere(attachment: PodAttachment, { node }: Here): Start {
  return { kind: 'pod', text: `pod ${nameOf(attachment)} (${attachment.addresses.join(', ')}, ${node})`, attachment }
}

function attachmentNamed({ attachments }: Here, of: string): PodAttachment | undefined {
  const called = attachments.filter(
    ({ pod }) => pod !== undefined && (of === pod.name || of === `${pod.namespace}/${pod.name}`),
  )
  return called.length === 1 ? called[0] : undefined
}

function candidates(
  kind: Named['kind'],
  of: string,
  found: Found | undefined,
  here: Here,
): Pick<Found, 'pods' | 'nodes'> {
  return {
    pods: kind === undefined || kind === 'pod' ? (found?.pods ?? []) : [],
    nodes: kind === undefined || kind === 'node' ? (found?.nodes ?? (of === here.node ? [of] : [])) : [],
  }
}

function describePlace(pod: Found['pods'][number] | undefined, attachment: PodAttachment | undefined): string {
  if (attachment !== undefined) return ` (pod ${nameOf(attachment)})`
  return pod === undefined ? '' : ` (pod ${pod.namespace}/${pod.name}, ${pod.node ?? 'no node'})`
}

function unknown(of: string, found: Found | undefined, what: string): PlaceError {
  if (found === undefined)
    return new PlaceError(
      `The agent does not answer, and without it ${of} cannot be told: give its address, or start the agent`,
    )
  return new PlaceError(
    `${what} is called ${of}${found.near.length === 0 ? '' : `: is it ${found.near.join(' or ')}?`}${found.near.length === 0 ? ' (headless Services have no rules and are not known here)' : ''}`,
  )
}

function ambiguous(
  of: string,
  pods: Found['pods'],
  services: readonly FoundService[],
  nodes: readonly string[],
): PlaceError {
  const names = [
    ...pods.map(({ namespace, name }) => `pod/${namespace}/${name}`),
    ...services.map(({ namespace, name }) => `svc/${namespace}/${name}`),
    ...nodes.map((name) => `node/${name}`),
  ]
  return new PlaceError(`${of} may be ${names.join(' or ')}: say which`)
}
