// The rules that lead from a service port's addresses into its chains: they stand in KUBE-SERVICES and KUBE-NODEPORTS
// of table nat, however a layout arranges those.
import type { Address } from '../net/address.ts'
import { hasLocalhostNodePorts } from './node-ports.ts'
import type { RenderContext } from './render-context.ts'
import type { Frontend } from './rendered.ts'
import type { Routing } from './routing.ts'
import { comment, jump, protocolIs, rule, to, toPort } from './rule-text.ts'
import type { ServicePort } from './service-port.ts'

export function renderFrontends(
  port: ServicePort,
  { internal, external, loadBalancer }: Routing,
  context: RenderContext,
): readonly Frontend[] {
  const at = (
    kind: Exclude<Frontend['kind'], 'node-port'>,
    what: string,
    address: Address,
    target: string,
  ): Frontend => ({
    kind,
    address,
    port: port.port,
    protocol: port.protocol,
    owner: port,
    rule: rule(
      to(address),
      protocolIs(port.protocol),
      comment(`${port.id} ${what}`),
      toPort(port.protocol, port.port),
      jump(target),
    ),
  })
  return [
    ...(internal === undefined ? [] : [at('cluster-ip', 'cluster IP', port.clusterIp, internal)]),
    ...(external === undefined
      ? []
      : port.externalIps.map((address) => at('external-ip', 'external IP', address, external))),
    ...(loadBalancer === undefined
      ? []
      : port.loadBalancerIps.map((address) => at('load-balancer', 'loadbalancer IP', address, loadBalancer))),
    ...(external === undefined || port.nodePort === 0 ? [] : nodePortFrontends(port, external, context)),
  ]
}

function nodePortFrontends(port: ServicePort, external: string, { options, node }: RenderContext): readonly Frontend[] {
  const at = (where: string, counted: string): Frontend => ({
    kind: 'node-port',
    address: undefined,
    port: port.nodePort,
    protocol: port.protocol,
    owner: port,
    rule: rule(
      where,
      protocolIs(port.protocol),
      comment(port.id),
      toPort(port.protocol, port.nodePort),
      counted,
      jump(external),
    ),
  })
  // The first only counts whoever still uses 127.0.0.1 (kube-proxy's metric
  // localhost_nodeports_accepted_packets_total).
  const counting = options.nfacct && hasLocalhostNodePorts(options, node.family)
  return [
    ...(counting ? [at('-d 127.0.0.0/8', '-m nfacct --nfacct-name localhost_nps_accepted_pkts')] : []),
    at('', ''),
  ]
}
