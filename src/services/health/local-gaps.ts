// Where traffic that must stay on a node finds nothing on this one: such packets are dropped, and it should be seen
// why.
import type { Family } from '../../net/address.ts'
import type { Endpoint } from '../endpoint.ts'
import { type ServicePort, usesLocalEndpoints } from '../service-port.ts'

/** How many ports of a family have endpoints, but none on this node, though one of their policies is Local. */
export interface LocalGaps {
  readonly family: Family
  readonly internal: number
  readonly external: number
}

export function localGaps(
  family: Family,
  ports: Iterable<{ readonly port: ServicePort; readonly endpoints: readonly Endpoint[] }>,
): LocalGaps {
  let [internal, external] = [0, 0]
  for (const { port, endpoints } of ports) {
    const usable = endpoints.filter(({ ready, serving, terminating }) => ready || (serving && terminating))
    // A port that has no way in from outside yet looks for none of this node's: kube-proxy counts it as one that has
    // found none, so dashboards expect it.
    if (
      port.family !== family ||
      usable.length === 0 ||
      (usesLocalEndpoints(port) && usable.some(({ local }) => local))
    )
      continue
    if (port.internalLocal) internal++
    if (port.externalLocal) external++
  }
  return { family, internal, external }
}
