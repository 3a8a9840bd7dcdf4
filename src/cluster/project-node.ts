// Converts a Node object to a ClusterNode, and compares two. Invalid entries are left out and reported; the rest of the
// node is used.
import { isDeepStrictEqual } from 'node:util'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { createdAtOf, type KubeObject, keyOf, readObject } from './kube-object.ts'
import type { ClusterNode } from './node.ts'
import { parseEach } from './parse-each.ts'
import type { Report } from './problem.ts'
import { asText, listOf, shown } from './raw-values.ts'
import { parsePortNumber } from './service-fields.ts'

interface RawNode extends KubeObject {
  readonly spec?: {
    readonly podCIDR?: string
    readonly podCIDRs?: readonly string[]
    readonly taints?: readonly { readonly key: string }[]
  }
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[]
    readonly daemonEndpoints?: { readonly kubeletEndpoint?: { readonly Port?: number } }
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

/** kubelet's own default. */
const defaultKubeletPort = 10_250

/**
 * Projects a node.
 * @throws {TypeError} when the object has no name.
 */
export function projectNode(raw: unknown, report: Report): readonly [key: string, node: ClusterNode] {
  const node = readObject(raw, 'Node', report) as RawNode
  const podCidrs = listOf(node.spec?.podCIDRs, 'spec.podCIDRs')
  const podCidr = node.spec?.podCIDR
  const cidrs = podCidrs.length === 0 && podCidr ? [podCidr] : podCidrs
  const internal = listOf(node.status?.addresses, 'status.addresses')
    .filter(({ type }) => type === 'InternalIP')
    .map(({ address }) => address)
  const kubeletPort = node.status?.daemonEndpoints?.kubeletEndpoint?.Port
  const leftOut = (field: string) => (value: unknown, why: string) =>
    report(`Node ${node.metadata.name}: ${field} \`${shown(value)}\` is left out: ${why}`)
  const conditions = listOf(node.status?.conditions, 'status.conditions')
  const ready = conditions.find(({ type }) => type === 'Ready')?.status
  const value: ClusterNode = Object.freeze({
    name: node.metadata.name,
    uid: node.metadata.uid ?? '',
    createdAt: createdAtOf(node),
    podCidrs: parseEach(cidrs, (text) => parseCidr(asText(text)), leftOut('spec.podCIDRs')),
    internalAddresses: parseEach(internal, (text) => parseAddress(asText(text)), leftOut('status.addresses')),
    kubeletPort:
      parseEach(kubeletPort ? [kubeletPort] : [], parsePortNumber, leftOut('status.daemonEndpoints'))[0] ??
      defaultKubeletPort,
    zone: node.metadata.labels?.['topology.kubernetes.io/zone'],
    leaving:
      node.metadata.deletionTimestamp !== undefined ||
      listOf(node.spec?.taints, 'spec.taints').some(({ key }) => key === 'ToBeDeletedByClusterAutoscaler'),
    alive: ready === undefined ? undefined : ready === 'True' || ready === 'False',
    networkUnavailable: conditions.some(({ type, status }) => type === 'NetworkUnavailable' && status === 'True'),
  })
  return [keyOf(node), value]
}

/** Returns false when anything that we keep differs. Most updates of a Node are heartbeats, which change none of it. */
export function sameNode(a: ClusterNode, b: ClusterNode): boolean {
  return isDeepStrictEqual(a, b)
}
