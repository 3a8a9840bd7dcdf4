// Node object -> ClusterNode, and when two are the same. An entry that makes no sense is left out and reported; the
// rest of the node still counts.
import { isDeepStrictEqual } from 'node:util'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { asKubeObject, createdAtOf, type KubeObject, keyOf } from './kube-object.ts'
import type { ClusterNode } from './node.ts'
import { parseEach } from './parse-each.ts'

interface RawNode extends KubeObject {
  readonly spec?: {
    readonly podCIDR?: string
    readonly podCIDRs?: readonly string[]
    readonly taints?: readonly { readonly key: string }[]
  }
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[]
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

/** @throws {TypeError} when the object has no name. */
export function projectNode(
  raw: unknown,
  report: (problem: string) => void,
): readonly [key: string, node: ClusterNode] {
  const node = asKubeObject(raw) as RawNode
  const { podCIDR, podCIDRs = [], taints = [] } = node.spec ?? {}
  const cidrs = podCIDRs.length === 0 && podCIDR ? [podCIDR] : podCIDRs
  const internal = (node.status?.addresses ?? [])
    .filter(({ type }) => type === 'InternalIP')
    .map(({ address }) => address)
  const leftOut = (field: string) => (value: string, why: string) =>
    report(`Node ${node.metadata.name}: ${field} \`${value}\` is left out: ${why}`)
  const value: ClusterNode = Object.freeze({
    name: node.metadata.name,
    uid: node.metadata.uid ?? '',
    createdAt: createdAtOf(node),
    podCidrs: parseEach(cidrs, parseCidr, leftOut('spec.podCIDRs')),
    internalAddresses: parseEach(internal, parseAddress, leftOut('status.addresses')),
    zone: node.metadata.labels?.['topology.kubernetes.io/zone'],
    leaving:
      node.metadata.deletionTimestamp !== undefined ||
      taints.some(({ key }) => key === 'ToBeDeletedByClusterAutoscaler'),
    networkUnavailable: (node.status?.conditions ?? []).some(
      ({ type, status }) => type === 'NetworkUnavailable' && status === 'True',
    ),
  })
  return [keyOf(node), value]
}

/**
 * False as soon as anything that we keep differs. Most updates of a Node are heartbeats, which change nothing of it.
 */
export function sameNode(a: ClusterNode, b: ClusterNode): boolean {
  return isDeepStrictEqual(a, b)
}
