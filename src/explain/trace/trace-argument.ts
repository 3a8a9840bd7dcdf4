// The ends of a trace as people name them on the command line, and the objects that a name may mean.
import type { Found, FoundService } from '../../agent/lookup-shape.ts'
import { canonicalAddress, parseAddress } from '../../net/address.ts'
import type { PodAttachment } from '../../pods/attachment-codec.ts'
import { type LocalNode, podName } from './flow.ts'

/** The request names something unknown, ambiguous, or out of reach for this node. The message is one sentence. */
export class TraceInputError extends Error {
  override readonly name = 'TraceInputError'
}

export interface TraceArgument {
  readonly kind: 'pod' | 'service' | 'node' | undefined
  /** A name, "namespace/name", or an address. */
  readonly name: string
  /** A number, or the name of a port of the Service or pod. */
  readonly port: string | undefined
}

const kinds: Readonly<Record<string, TraceArgument['kind']>> = {
  pod: 'pod',
  svc: 'service',
  service: 'service',
  node: 'node',
}

/**
 * Parses "web", "shop/web:80", "svc/shop/web:http", "10.0.0.1:80" or "[fd00::1]:80".
 * @throws {TraceInputError} when the text has another form.
 */
export function parseArgument(text: string): TraceArgument {
  if (canonicalAddress(text) !== undefined) return { kind: undefined, name: parseAddress(text), port: undefined }
  const [, kind = '', rest = ''] = /^(?:(pod|svc|service|node)\/)?(.*)$/.exec(text) ?? []
  const [, bracketed, plain = '', port] = /^(?:\[(.*)\]|([^:]*))(?::([a-z0-9-]+))?$/i.exec(rest) ?? []
  const name = bracketed ?? plain
  if (name === '')
    throw new TraceInputError(
      `Expected a pod, a Service, a node or an address, with :PORT where it matters, got \`${text}\``,
    )
  return { kind: kinds[kind], name: canonicalAddress(name) ?? name, port }
}

/** Objects of a name, of the kind that the argument asks for. */
export interface Candidates {
  readonly pods: Found['pods']
  readonly services: readonly FoundService[]
  readonly nodes: readonly string[]
}

/** @param found the agent's answer about the name; undefined when it does not answer. */
export function candidatesOf({ kind, name }: TraceArgument, found: Found | undefined, local: LocalNode): Candidates {
  const wants = (each: TraceArgument['kind']): boolean => kind === undefined || kind === each
  return {
    pods: wants('pod') ? (found?.pods ?? []) : [],
    services: wants('service') ? (found?.services ?? []) : [],
    nodes: wants('node') ? (found?.nodes ?? (name === local.node ? [name] : [])) : [],
  }
}

/** Returns the attachment of the only local pod with this name, or "namespace/name". */
export function attachmentNamed({ attachments }: LocalNode, name: string): PodAttachment | undefined {
  const named = attachments.filter(
    ({ pod }) => pod !== undefined && (name === pod.name || name === `${pod.namespace}/${pod.name}`),
  )
  return named.length === 1 ? named[0] : undefined
}

/** Describes a local pod: "pod shop/web-1 (10.244.1.5, node1)". */
export function describeLocalPod(attachment: PodAttachment, { node }: LocalNode): string {
  return `pod ${podName(attachment)} (${attachment.addresses.join(', ')}, ${node})`
}

/** @param expected "No pod or node" or similar, the start of the sentence. */
export function unknownName(name: string, found: Found | undefined, expected: string): TraceInputError {
  if (found === undefined)
    return new TraceInputError(
      `The agent does not answer, and without it ${name} cannot be resolved: give its address, or start the agent`,
    )
  const hint =
    found.near.length === 0
      ? ' (headless Services have no rules and are not known here)'
      : `: is it ${found.near.join(' or ')}?`
  return new TraceInputError(`${expected} is called ${name}${hint}`)
}

export function ambiguousName(name: string, { pods, services, nodes }: Candidates): TraceInputError {
  const names = [
    ...pods.map((pod) => `pod/${pod.namespace}/${pod.name}`),
    ...services.map((service) => `svc/${service.namespace}/${service.name}`),
    ...nodes.map((node) => `node/${node}`),
  ]
  return new TraceInputError(`${name} may be ${names.join(' or ')}: say which`)
}
