// Through which nodes the world reaches a load balancer's address, as a speaker of BGP would announce it (MetalLB):
// through every ready node; with externalTrafficPolicy Local only through those that have a ready endpoint, which is
// what the health check node port tells a cloud's load balancer.
import { type SliceView, serviceNameLabel } from './endpoint-slice-view.ts'
import type { NodeView } from './node-view.ts'
import type { ServiceView } from './service-view.ts'

/** Addresses of nodes in order, by the address that they announce. */
export type Announcements = ReadonlyMap<string, readonly string[]>

export function announcements(
  services: ReadonlyMap<string, ServiceView>,
  nodes: ReadonlyMap<string, NodeView>,
  slices: ReadonlyMap<string, SliceView>,
): Announcements {
  const slicesOf = Map.groupBy(slices.values(), ({ namespace, labels }) => `${namespace}/${labels[serviceNameLabel]}`)
  const ready = [...nodes.values()]
    .filter((node) => node.ready && node.address !== '')
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const balanced = [...services]
    .filter(([, { type }]) => type === 'LoadBalancer')
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return new Map(
    balanced.flatMap(([key, { loadBalancerAddresses, externalLocal }]) => {
      const having = new Set(
        (slicesOf.get(key) ?? []).flatMap(({ endpoints }) =>
          endpoints.filter(({ conditions }) => conditions.ready).map(({ nodeName }) => nodeName),
        ),
      )
      const through = ready.filter(({ name }) => !externalLocal || having.has(name)).map(({ address }) => address)
      return loadBalancerAddresses.map((address) => [address, through] as const)
    }),
  )
}
