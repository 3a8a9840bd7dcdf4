// Whether a connection is allowed, read off the specification of networking.k8s.io/v1 NetworkPolicy sentence by
// sentence. It shares nothing with src/policy, knows no kernel, and looks at every object for every question: the
// slowest way, and the one in which there is the least to get wrong.
import ipaddr from 'ipaddr.js'
import type { Direction, Labels, NetworkPolicy, Peer, Port, Protocol, Selector } from './network-policy.ts'

export interface Pod {
  readonly namespace: string
  readonly name: string
  readonly labels: Labels
  readonly node: string
  readonly address: string
  readonly ports: readonly { readonly name: string; readonly protocol: Protocol; readonly containerPort: number }[]
  readonly hostNetwork?: boolean
  /** It has ended (Succeeded or Failed): its address may be another pod's by now. */
  readonly finished?: boolean
}

export interface Cluster {
  readonly namespaces: Readonly<Record<string, Labels>>
  readonly pods: readonly Pod[]
  /**
   * Every address that a node has, and so every one that its own traffic can come from; the first is the one that the
   * cluster knows it by.
   */
  readonly nodes: Readonly<Record<string, readonly string[]>>
  readonly policies: readonly NetworkPolicy[]
}

/** A connection as the pods see it: after the translation of a Service's address. */
export interface Flow {
  readonly from: string
  readonly to: string
  readonly port: number
  readonly protocol: Protocol
}

/** It takes both: what leaves the source, and what may enter the destination. */
export function allowed(cluster: Cluster, flow: Flow): boolean {
  // A pod cannot block itself.
  if (flow.from === flow.to) return true
  return passes(cluster, 'Egress', flow.from, flow.to, flow) && passes(cluster, 'Ingress', flow.to, flow.from, flow)
}

function passes(
  cluster: Cluster,
  direction: Direction,
  subjectAddress: string,
  peerAddress: string,
  flow: Flow,
): boolean {
  const subject = podAt(cluster, subjectAddress)
  if (subject === undefined) return true
  // The node that a pod runs on always has access to it, and it to the node.
  if (cluster.nodes[subject.node]?.includes(peerAddress) === true) return true
  const isolating = cluster.policies.filter(
    (policy) => isSelectedBy(subject, policy) && typesOf(policy).includes(direction),
  )
  return isolating.length === 0 || isolating.some((policy) => admits(cluster, policy, direction, peerAddress, flow))
}

/** Pods in a node's own network have no address of theirs: they are the node. */
function podAt(cluster: Cluster, address: string): Pod | undefined {
  return cluster.pods.find((pod) => pod.address === address && pod.hostNetwork !== true && pod.finished !== true)
}

function isSelectedBy(pod: Pod, { namespace, spec }: NetworkPolicy): boolean {
  return pod.namespace === namespace && matches(spec.podSelector ?? {}, pod.labels)
}

/**
 * "policies that contain an egress section are assumed to affect egress, and all policies are assumed to affect
 * ingress", unless they say.
 */
function typesOf({ spec }: NetworkPolicy): readonly Direction[] {
  if (spec.policyTypes !== undefined) return spec.policyTypes
  return (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress']
}

function admits(
  cluster: Cluster,
  policy: NetworkPolicy,
  direction: Direction,
  peerAddress: string,
  flow: Flow,
): boolean {
  const rules =
    direction === 'Ingress'
      ? (policy.spec.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
      : (policy.spec.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }))
  return rules.some(({ peers = [], ports = [] }) => {
    // An empty or missing list matches all peers, or all ports.
    const candidates: readonly (Peer | 'any')[] = peers.length === 0 ? ['any'] : peers
    return candidates.some(
      (peer) =>
        isPeer(cluster, policy, peer, peerAddress) &&
        (ports.length === 0 || ports.some((port) => isPort(cluster, port, flow, direction, peer))),
    )
  })
}

function isPeer(cluster: Cluster, policy: NetworkPolicy, peer: Peer | 'any', address: string): boolean {
  if (peer === 'any') return true
  if (peer.ipBlock !== undefined) return isInBlock(peer.ipBlock, namesOf(cluster, address))
  const pod = podAt(cluster, address)
  if (pod === undefined || !matches(peer.podSelector ?? {}, pod.labels)) return false
  return peer.namespaceSelector === undefined
    ? pod.namespace === policy.namespace
    : matches(peer.namespaceSelector, cluster.namespaces[pod.namespace] ?? {})
}

function isPort(
  cluster: Cluster,
  { protocol = 'TCP', port, endPort }: Port,
  flow: Flow,
  direction: Direction,
  peer: Peer | 'any',
): boolean {
  if (protocol !== flow.protocol) return false
  if (port === undefined) return true
  if (typeof port === 'number') return flow.port >= port && flow.port <= (endPort ?? port)
  // A name is looked up at the pod that is asked; a block of addresses has no pods to ask.
  if (direction === 'Egress' && peer !== 'any' && peer.ipBlock !== undefined) return false
  return (
    podAt(cluster, flow.to)?.ports.some(
      (named) => named.name === port && named.protocol === protocol && named.containerPort === flow.port,
    ) === true
  )
}

function matches({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  if (Object.entries(matchLabels).some(([key, value]) => labels[key] !== value)) return false
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key]
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
    }
  })
}

/**
 * What a block can call the peer by: its address and, where a node sends with another one than the cluster knows it by,
 * that one too.
 */
function namesOf({ nodes }: Cluster, address: string): string[] {
  return [
    address,
    ...Object.values(nodes).flatMap(([known = address, ...others]) => (others.includes(address) ? [known] : [])),
  ]
}

function isInBlock({ cidr, except = [] }: NonNullable<Peer['ipBlock']>, names: readonly string[]): boolean {
  return (
    names.some((name) => isWithin(cidr, name)) &&
    !except.some((excepted) => names.some((name) => isWithin(excepted, name)))
  )
}

/** Host bits of the block do not count. */
function isWithin(cidr: string, address: string): boolean {
  const [one, block] = [ipaddr.parse(address), ipaddr.parseCIDR(cidr)]
  return one.kind() === block[0].kind() && one.match(block)
}
