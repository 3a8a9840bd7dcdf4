// What a service port asks of table filter: it sees packets that table nat has left as they were, because nobody is
// there to answer them.
import { accept, comment, drop, protocolIs, reject, to, toLocal, toPort } from '../iptables/matches.ts'
import { type Match, rule, type Target } from '../iptables/rule.ts'
import type { Address } from '../net/address.ts'
import type { FilterChain, FilterRule } from './rendered.ts'
import { isGated, type Routing } from './routing.ts'
import type { ServicePort } from './service-port.ts'

export function renderFilter(
  port: ServicePort,
  { names, choice, internal, external, externalPolicy }: Routing,
): readonly FilterRule[] {
  // Nobody anywhere: clients are told. Nobody on this node: silence, so that they try another one.
  const [what, target] = choice.exists
    ? (['has no local endpoints', drop] as const)
    : (['has no endpoints', reject(port.family)] as const)
  const at = (
    chain: FilterChain,
    kind: FilterRule['kind'],
    address: Address,
    why: string,
    verdict: Target,
  ): FilterRule => ({
    chain,
    kind,
    address,
    port: port.port,
    protocol: port.protocol,
    owner: port,
    rule: rule(
      to(address),
      protocolIs(port.protocol),
      comment(`${port.id} ${why}`),
      toPort(port.protocol, port.port),
      verdict,
    ),
  })
  const atNode = (
    chain: FilterChain,
    kind: FilterRule['kind'],
    protocol: 'tcp' | 'udp' | 'sctp',
    number: number,
    ...parts: readonly (Match | Target)[]
  ): FilterRule => ({
    chain,
    kind,
    address: undefined,
    port: number,
    protocol,
    owner: port,
    rule: rule(protocolIs(protocol), ...parts),
  })
  const turnedAway = externalPolicy === undefined
  const gate = `traffic not accepted by ${names.firewall}`
  const gated = external !== undefined && isGated(port)
  return [
    ...(internal === undefined ? [at('KUBE-SERVICES', 'cluster-ip', port.clusterIp, what, target)] : []),
    ...(turnedAway
      ? port.externalIps.map((address) => at('KUBE-EXTERNAL-SERVICES', 'external-ip', address, what, target))
      : []),
    ...(gated
      ? port.loadBalancerIps.map((address) => at('KUBE-PROXY-FIREWALL', 'load-balancer', address, gate, drop))
      : []),
    ...(turnedAway
      ? port.loadBalancerIps.map((address) => at('KUBE-EXTERNAL-SERVICES', 'load-balancer', address, what, target))
      : []),
    ...(turnedAway && port.nodePort !== 0
      ? [
          atNode(
            'KUBE-EXTERNAL-SERVICES',
            'node-port',
            port.protocol,
            port.nodePort,
            comment(`${port.id} ${what}`),
            toLocal(),
            toPort(port.protocol, port.nodePort),
            target,
          ),
        ]
      : []),
    ...(port.healthCheckNodePort !== 0
      ? [
          atNode(
            'KUBE-NODEPORTS',
            'health-check',
            'tcp',
            port.healthCheckNodePort,
            comment(`${port.id} health check node port`),
            toPort('tcp', port.healthCheckNodePort),
            accept,
          ),
        ]
      : []),
  ]
}
