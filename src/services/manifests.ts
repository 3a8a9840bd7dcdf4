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
  readonly metadata: { readonly name: string; readonly namespace?: string | null | undefined }
  readonly spec?: unknown
}

export interface ClusterObjects {
  readonly services: readonly ClusterService[]
  readonly slices: readonly ClusterEndpointSlice[]
  readonly nodes: readonly ClusterNode[]
  /** Blocks that ClusterIPs are taken from. */
  readonly serviceBlocks: readonly Cidr[]
  /** One sentence each. */
  readonly problems: readonly string[]
}

/**
 * Reads the objects that rules depend on and passes over other kinds. The last of several objects of one name counts,
 * as with `kubectl apply`. An object that cannot be read is a problem and leaves all others as they are.
 */
export function clusterObjects(manifests: readonly Manifest[]): ClusterObjects {
  const problems: string[] = []
  const report: Report = (sentence) => problems.push(sentence)
  const services = new Map<string, ClusterService>()
  const slices = new Map<string, ClusterEndpointSlice>()
  const nodes = new Map<string, ClusterNode>()
  const blocks = new Map<string, readonly Cidr[]>()
  const read = (manifest: Manifest, metadata: Manifest['metadata'] & { readonly namespace: string }): void => {
    const object = { ...manifest, metadata }
    if (manifest.kind === 'Service') {
      if (awaitsAddress(manifest.spec))
        report(
          `Service ${metadata.namespace}/${metadata.name} has no rules without an address: give it a spec.clusterIP, as the API server would`,
        )
      keep(services, projectService(object, report))
    } else if (manifest.kind === 'EndpointSlice') keep(slices, projectEndpointSlice(object, report))
    else if (manifest.kind === 'Node') keep(nodes, projectNode(manifest, report))
    else if (manifest.kind === 'ServiceCIDR') keep(blocks, projectServiceCidr(manifest, report))
  }
  for (const manifest of manifests) {
    const metadata = { ...manifest.metadata, namespace: manifest.metadata.namespace ?? 'default' }
    try {
      read(manifest, metadata)
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
      report(`${manifest.kind} ${metadata.namespace}/${metadata.name} is left out: ${error.message}`)
    }
  }
  return {
    services: [...services.values()],
    slices: [...slices.values()],
    nodes: [...nodes.values()],
    serviceBlocks: [...blocks.values()].flat(),
    problems,
  }
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
      alive: undefined,
      networkUnavailable: false,
      kubeletPort: 10_250,
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
