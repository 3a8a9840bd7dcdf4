// Manifests -> the rules of one node, in each family that their Services have.
import { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { Family } from '../net/address.ts'
import { type ClusterObjects, clusterObjects, type Manifest, nodeNamed, servedFamilies } from './manifests.ts'
import { nodeFacts } from './node-facts.ts'
import type { ServicesOptions } from './options.ts'
import { renderSnapshot } from './render-snapshot.ts'
import type { DesiredRules } from './rendered.ts'

export interface RenderedManifests {
  /** IPv4 also where there is no Service at all. */
  readonly families: readonly { readonly family: Family; readonly rules: DesiredRules }[]
  readonly problems: readonly string[]
}

/**
 * @param protect what no Service gets, as the manifests tell it; nothing is protected where not given
 * @throws {Error} when there are Nodes and none of that name.
 */
export function renderManifests(
  manifests: readonly Manifest[],
  nodeName: string,
  options: ServicesOptions,
  protect: (objects: ClusterObjects) => ProtectedPorts = () => ProtectedPorts.none,
): RenderedManifests {
  const objects = clusterObjects(manifests)
  const { services, slices, nodes, problems } = objects
  const needed = protect(objects)
  const node = nodeNamed(nodes, nodeName)
  const desired = servedFamilies(services).map((family) => ({
    family,
    ...renderSnapshot({ services, slices, options, node: nodeFacts(node, family, []), needed }),
  }))
  return {
    families: desired.map(({ family, rules }) => ({ family, rules })),
    problems: [...problems, ...desired.flatMap((each) => each.problems.map(({ sentence }) => sentence))],
  }
}
