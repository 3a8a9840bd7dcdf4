// Chooses the nodes that announce a load balancer address, like a BGP speaker (MetalLB): every ready node. With
// externalTrafficPolicy Local only nodes with a ready endpoint announce it, which cloud load balancers find out by the
// health check node port.
import { type SliceView, serviceNameLabel } from './endpoint-slice-view.ts'
import type { NodeView } from './node-view.ts'
import type { ServiceView } from './service-view.ts'

/** The sorted addresses of the nodes that announce a load balancer address, by that address. */
export type LoadBalancerRoutes = ReadonlyMap<string, readonly string[]>

export function loadBalancerRoutes(
  services: ReadonlyMap<string, ServiceView>,
  nodes: ReadonlyMap<string, NodeView>,
  slices: ReadonlyMap<string, SliceView>,
): LoadBalancerRoutes {
  const slicesOf = Map.groupBy(slices.values(), ({ namespace, labels }) => `${namespace}/${labels[serviceNameLabel]}`)
  const ready = [...nodes.values()]
    .filter((node) => node.ready && node.address !== '')
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const balanced = [...services]
    .filter(([, { type }]) => type === 'LoadBalancer')
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return new Map(
    balanced.flatMap(([key, { loadBalancerAddresses, externalLocal }]) => {
      const withEndpoint = new Set(
        (slicesOf.get(key) ?? []).flatMap(({ endpoints }) =>
          endpoints.filter(({ conditions }) => conditions.ready).map(({ nodeName }) => nodeName),
        ),
      )
      const chosen = ready.filter(({ name }) => !externalLocal || withEndpoint.has(name)).map(({ address }) => address)
      return loadBalancerAddresses.map((address) => [address, chosen] as const)
    }),
  )
}
