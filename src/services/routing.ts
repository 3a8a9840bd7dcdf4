// Which chains a service port's traffic takes on this node: decided once, rendered in three places (table nat's chains,
// frontends, table filter).
import { addressBits } from '../net/address.ts'
import { type Cidr, cidrContains, cidrOf, parseCidr } from '../net/cidr.ts'
import { categorise, type Choice } from './categorise.ts'
import { type ChainNames, chainNames } from './chain-names.ts'
import type { Endpoint } from './endpoint.ts'
import type { NodeFacts } from './options.ts'
import { isExternallyAccessible, type ServicePort } from './service-port.ts'

export interface Routing {
  readonly names: ChainNames
  readonly choice: Choice
  /** Where the ClusterIP leads; undefined where it leads nowhere. */
  readonly internal: string | undefined
  /**
   * Where external addresses and node ports lead. There even without a local endpoint, for pods and the node itself;
   * undefined without any endpoint.
   */
  readonly external: string | undefined
  /** Where that goes on for all others; undefined where they are turned away. */
  readonly externalPolicy: string | undefined
  /** Where addresses of load balancers lead: `external`, or first a gate that only source ranges pass. */
  readonly loadBalancer: string | undefined
}

export function routingOf(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  node: Pick<NodeFacts, 'name' | 'zone'>,
): Routing {
  const names = chainNames(port)
  const choice = categorise(port, endpoints, node)
  const policyChain = (local: boolean): string | undefined => {
    if (local) return choice.local.length > 0 ? names.local : undefined
    return choice.exists ? names.cluster : undefined
  }
  const external = choice.exists && isExternallyAccessible(port) ? names.external : undefined
  const gated = external !== undefined && isGated(port)
  return {
    names,
    choice,
    internal: policyChain(port.internalLocal),
    external,
    externalPolicy: policyChain(port.externalLocal),
    loadBalancer: gated ? names.firewall : external,
  }
}

/** Only clients within its source ranges may use its load balancer's addresses. */
export function isGated({ loadBalancerIps, sourceRanges }: ServicePort): boolean {
  return loadBalancerIps.length > 0 && sourceRanges.length > 0
}

/**
 * Returns the blocks whose clients may use the load balancer's addresses; all where it has no source ranges. Such an
 * address may stand on the node: then the node's own requests to it come from that address.
 */
export function admittedSources(
  { family, sourceRanges, loadBalancerIps }: ServicePort,
  { address }: Pick<NodeFacts, 'address'>,
): readonly Cidr[] {
  if (sourceRanges.length === 0) return [parseCidr(family === 4 ? '0.0.0.0/0' : '::/0')]
  const nodeMay = address !== undefined && sourceRanges.some((range) => cidrContains(range, address))
  return [...sourceRanges, ...(nodeMay ? loadBalancerIps.map((own) => cidrOf(own, addressBits(family))) : [])]
}
