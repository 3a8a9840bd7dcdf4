// What rendering one service port depends on besides the port and its endpoints.
import type { NodeFacts, ServicesOptions } from './options.ts'
import type { EndpointLayout } from './rendered.ts'

export interface RenderContext {
  readonly options: ServicesOptions
  readonly node: NodeFacts
  /** More endpoints than {@link isLargeCluster} allows for comments on each of them. */
  readonly largeCluster: boolean
  readonly endpointLayout: EndpointLayout
}

/**
 * kube-proxy's limit (largeClusterEndpointsThreshold).
 * @param endpoints of all service ports of the family, ready or not.
 */
export function isLargeCluster(endpoints: number): boolean {
  return endpoints > 1000
}
