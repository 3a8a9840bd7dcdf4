// Which rule of which policy admits a connection, from the policies themselves: for those who ask why, and for pods of
// other nodes, whose kernel nobody can ask from here. Pure.
import { type Labels, selects } from '../cluster/label-selector.ts'
import type { PolicyPeer, PolicyPort, PolicyRule } from '../cluster/network-policy.ts'
import type { ContainerPort } from '../cluster/pod.ts'
import type { Protocol } from '../cluster/service.ts'
import { type Address, addressToBigInt, familyOf } from '../net/address.ts'
import { blockRanges, type TunnelAddress } from './ip-blocks.ts'
import { isBlock, isNumbered } from './policy-rules.ts'
import type { Direction } from './subjects.ts'

/** One end of a connection. */
export interface Party {
  readonly address: Address
  /** Undefined for what is no pod with an address of its own. */
  readonly pod: PartyPod | undefined
}

export interface PartyPod {
  readonly namespace: string
  readonly name: string
  readonly labels: Labels
  /** Undefined while its namespace is not known. */
  readonly namespaceLabels: Labels | undefined
  readonly ports: readonly ContainerPort[]
}

/** As the forward hook sees it: Services translated. */
export interface Connection {
  readonly source: Party
  readonly destination: Party
  readonly protocol: Protocol
  readonly port: number
}

/** One direction of a policy that isolates a pod. */
export interface IsolatingPolicy {
  readonly name: string
  readonly rules: readonly PolicyRule[]
}

export interface Admission {
  readonly policy: string
  /** Counted from 1, as the policy lists them. */
  readonly rule: number
}

/** @param namespace of the isolated pod and its policies. @returns undefined: no rule admits it */
export function admissionOf(
  direction: Direction,
  namespace: string,
  policies: readonly IsolatingPolicy[],
  connection: Connection,
  tunnels: readonly TunnelAddress[],
): Admission | undefined {
  for (const { name, rules } of policies) {
    const index = rules.findIndex((rule) => admits(direction, namespace, rule, connection, tunnels))
    if (index >= 0) return { policy: name, rule: index + 1 }
  }
  return undefined
}

function admits(
  direction: Direction,
  namespace: string,
  { peers, ports }: PolicyRule,
  connection: Connection,
  tunnels: readonly TunnelAddress[],
): boolean {
  const peer = direction === 'ingress' ? connection.source : connection.destination
  const meant: readonly (PolicyPeer | 'anybody')[] =
    peers === undefined ? ['anybody'] : peers.filter((each) => isPeer(each, namespace, peer, tunnels))
  return meant.some(
    (each) =>
      ports === undefined ||
      ports.some((port) => isPort(port, connection, direction === 'egress' && each !== 'anybody' && isBlock(each))),
  )
}

function isPeer(
  peer: PolicyPeer,
  namespace: string,
  { address, pod }: Party,
  tunnels: readonly TunnelAddress[],
): boolean {
  if (isBlock(peer))
    return blockRanges([peer], familyOf(address), tunnels).some(
      ({ first, last }) => first <= addressToBigInt(address) && addressToBigInt(address) <= last,
    )
  if (pod === undefined || !selects(peer.pods, pod.labels)) return false
  if (peer.namespaces === undefined) return pod.namespace === namespace
  return pod.namespaceLabels !== undefined && selects(peer.namespaces, pod.namespaceLabels)
}

/** @param toBlock a block has no pods to ask for the number of a name */
function isPort(port: PolicyPort, { destination, protocol, port: number }: Connection, toBlock: boolean): boolean {
  if (port.protocol !== protocol) return false
  if (isNumbered(port)) return port.first <= number && number <= port.last
  return (
    !toBlock &&
    destination.pod?.ports.some((own) => own.name === port.name && own.protocol === protocol && own.port === number) ===
      true
  )
}
