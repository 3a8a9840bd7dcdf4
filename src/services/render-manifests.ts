// Manifests -> the rules of one node, in each family that their Services have.
import type { Family } from '../net/address.ts'
import { desiredRules, type Layouts } from './desired.ts'
import { flatEndpoints, flatFrontends } from './flat-layout.ts'
import { dispatchTree } from './layout/dispatch-tree.ts'
import { endpointTree } from './layout/endpoint-tree.ts'
import { clusterObjects, type Manifest } from './manifests.ts'
import { nodeFacts } from './node-facts.ts'
import type { ServicesOptions } from './options.ts'
import type { DesiredRules } from './rendered.ts'
import { servicePortsOf } from './service-ports.ts'

export interface RenderedManifests {
  /** IPv4 also where there is no Service at all. */
  readonly families: readonly { readonly family: Family; readonly rules: DesiredRules }[]
  readonly problems: readonly string[]
}

/** @throws {Error} when there are Nodes and none of that name. */
export function renderManifests(manifests: readonly Manifest[], nodeName: string, options: ServicesOptions): RenderedManifests {
  const { services, slices, nodes, problems } = clusterObjects(manifests)
  const node = nodes.find(({ name }) => name === nodeName)
  if (node === undefined && nodes.length > 0) throw new Error(`there is no Node ${nodeName} in the manifests: take one of ${nodes.map(({ name }) => name).join(', ')}`)
  // Without a Node its name alone is known: enough for all that depends on neither zone, podCIDR nor its address.
  const known = node ?? { name: nodeName, uid: '', createdAt: 0, podCidrs: [], internalAddresses: [], zone: undefined, leaving: false }
  const layouts: Layouts = options.layout === 'tree' ? { endpoints: endpointTree, frontends: dispatchTree() } : { endpoints: flatEndpoints, frontends: flatFrontends }
  const served = ([4, 6] as const).filter((family) => services.some((service) => servicePortsOf(service, family).length > 0))
  const desired = (served.length === 0 ? [4 as const] : served).map((family) => ({ family, ...desiredRules({ services, slices, options, node: nodeFacts(known, family, []) }, layouts) }))
  return { families: desired.map(({ family, rules }) => ({ family, rules })), problems: [...problems, ...desired.flatMap((each) => each.problems)] }
}
