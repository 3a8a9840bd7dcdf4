// Services, slices and Nodes from manifests in place of the API server: what a person wants to see the rules of.
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { ClusterNode } from '../cluster/node.ts'
import { projectEndpointSlice } from '../cluster/project-endpoint-slice.ts'
import { projectNode } from '../cluster/project-node.ts'
import { projectServiceCidr } from '../cluster/project-service-cidr.ts'
import { projectService } from '../cluster/project-service.ts'
import type { Report } from '../cluster/problem.ts'
import type { ClusterService } from '../cluster/service.ts'
import type { Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import { servicePortsOf } from './service-ports.ts'

/** As far as anything looks into it before the projections do. */
export interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string | undefined }
  readonly spec?: unknown
}

export interface ClusterObjects {
  readonly services: readonly ClusterService[]
  readonly slices: readonly ClusterEndpointSlice[]
  readonly nodes: readonly ClusterNode[]
  /** One sentence each. */
  readonly problems: readonly string[]
}

/**
 * Other kinds are passed over. What is given twice counts as it is given last, as with `kubectl apply`.
 * @throws {TypeError} when a name is none.
 */
export function clusterObjects(manifests: readonly Manifest[]): ClusterObjects {
  const problems: string[] = []
  const report: Report = (sentence) => problems.push(sentence)
  const services = new Map<string, ClusterService>()
  const slices = new Map<string, ClusterEndpointSlice>()
  const nodes = new Map<string, ClusterNode>()
  for (const manifest of manifests) {
    const object = {
      ...manifest,
      metadata: { ...manifest.metadata, namespace: manifest.metadata.namespace ?? 'default' },
    }
    if (manifest.kind === 'Service') {
      if (awaitsAddress(manifest.spec))
        report(
          `Service ${object.metadata.namespace}/${object.metadata.name} has no rules without an address: give it a spec.clusterIP, as the API server would`,
        )
      keep(services, projectService(object, report))
    } else if (manifest.kind === 'EndpointSlice') keep(slices, projectEndpointSlice(object, report))
    else if (manifest.kind === 'Node') keep(nodes, projectNode(manifest, report))
  }
  return { services: [...services.values()], slices: [...slices.values()], nodes: [...nodes.values()], problems }
}

/** Blocks that ClusterIPs are taken from. @throws {TypeError} when a name is none. */
export function serviceBlocks(manifests: readonly Manifest[]): readonly Cidr[] {
  return manifests
    .filter(({ kind }) => kind === 'ServiceCIDR')
    .flatMap((manifest) => projectServiceCidr(manifest, () => undefined)[1])
}

/**
 * The Node of that name. Where there are no Nodes its name alone is known: enough for all that depends on neither zone,
 * podCIDR nor address.
 * @throws {Error} when there are Nodes and none of that name.
 */
export function nodeNamed(nodes: readonly ClusterNode[], name: string): ClusterNode {
  const node = nodes.find((each) => each.name === name)
  if (node === undefined && nodes.length > 0)
    throw new Error(
      `there is no Node ${name} in the manifests: take one of ${nodes.map((each) => each.name).join(', ')}`,
    )
  return (
    node ?? {
      name,
      uid: '',
      createdAt: 0,
      podCidrs: [],
      internalAddresses: [],
      zone: undefined,
      leaving: false,
      networkUnavailable: false,
    }
  )
}

/** Those that the Services have, and IPv4 where there is none at all. */
export function servedFamilies(services: readonly ClusterService[]): readonly Family[] {
  const served = ([4, 6] as const).filter((family) =>
    services.some((service) => servicePortsOf(service, family).length > 0),
  )
  return served.length === 0 ? [4] : served
}

/** A manifest as people write it: the API server has not allocated a ClusterIP yet. */
function awaitsAddress(spec: unknown): boolean {
  const { clusterIP, type } = (spec ?? {}) as { clusterIP?: unknown; type?: unknown }
  return !clusterIP && type !== 'ExternalName'
}

function keep<T>(kept: Map<string, T>, projected: readonly [key: string, value: T] | undefined): void {
  if (projected !== undefined) kept.set(...projected)
}
