// The rules that lead from a service port's addresses into its chains: they stand in KUBE-SERVICES and KUBE-NODEPORTS
// of table nat, however a layout arranges those.
import { comment, countedBy, jump, protocolIs, to, toPort } from '../iptables/matches.ts'
import { type Rule, rule } from '../iptables/rule.ts'
import type { Address } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { hasLocalhostNodePorts } from './node-ports.ts'
import type { RenderContext } from './render-context.ts'
import type { Frontend } from './rendered.ts'
import type { Routing } from './routing.ts'
import type { ServicePort } from './service-port.ts'

const loopback = parseCidr('127.0.0.0/8')

const kindTexts = { 'cluster-ip': ' cluster IP', 'external-ip': ' external IP', 'load-balancer': ' loadbalancer IP' }

export function renderFrontends(
  port: ServicePort,
  { internal, external, loadBalancer }: Routing,
  context: RenderContext,
): readonly Frontend[] {
  const at = (kind: Frontend['kind'], address: Address, target: string): Frontend => ({
    kind,
    address,
    port: port.port,
    protocol: port.protocol,
    owner: port,
    target,
  })
  return [
    ...(internal === undefined ? [] : [at('cluster-ip', port.clusterIp, internal)]),
    ...(external === undefined ? [] : port.externalIps.map((address) => at('external-ip', address, external))),
    ...(loadBalancer === undefined
      ? []
      : port.loadBalancerIps.map((address) => at('load-balancer', address, loadBalancer))),
    ...(external === undefined || port.nodePort === 0 ? [] : nodePortFrontends(port, external, context)),
  ]
}

function nodePortFrontends(port: ServicePort, target: string, { options, node }: RenderContext): readonly Frontend[] {
  const frontend: Frontend = {
    kind: 'node-port',
    address: undefined,
    port: port.nodePort,
    protocol: port.protocol,
    owner: port,
    target,
  }
  // The first only counts who still uses 127.0.0.1 (kube-proxy's metric localhost_nodeports_accepted_packets_total).
  const counting = options.nfacct && hasLocalhostNodePorts(options, node.family)
  return counting ? [{ ...frontend, countedBy: 'localhost_nps_accepted_pkts' }, frontend] : [frontend]
}

/**
 * Returns the rule of table nat that leads to the frontend's chain. Frontends are kept without it: ten thousand rules
 * would be 8 MB.
 */
export function frontendRule({ kind, address, port, protocol, owner, target, countedBy: object }: Frontend): Rule {
  if (kind === 'node-port')
    return rule(
      object === undefined ? undefined : to(loopback),
      protocolIs(protocol),
      comment(owner.id),
      toPort(protocol, port),
      object === undefined ? undefined : countedBy(object),
      jump(target),
    )
  return rule(
    address === undefined ? undefined : to(address),
    protocolIs(protocol),
    comment(`${owner.id}${kindTexts[kind]}`),
    toPort(protocol, port),
    jump(target),
  )
}

/** Tells whether two frontends have the same rule. */
export function isSameFrontend(a: Frontend, b: Frontend | undefined): boolean {
  return (
    b !== undefined &&
    a.kind === b.kind &&
    a.address === b.address &&
    a.port === b.port &&
    a.protocol === b.protocol &&
    a.target === b.target &&
    a.countedBy === b.countedBy &&
    a.owner.id === b.owner.id
  )
}
