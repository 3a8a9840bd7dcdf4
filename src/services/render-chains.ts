// The chains of one service port in table nat.
//
// The walk: KUBE-SERVICES found the frontend. A ClusterIP goes straight to KUBE-SVC (KUBE-SVL: this node's endpoints
// alone). External addresses and node ports go through KUBE-EXT, those of load balancers with source ranges through
// KUBE-FW before that. KUBE-SVC draws one of the endpoints' chains, and KUBE-SEP rewrites the destination. On the way
// KUBE-MARK-MASQ marks what must come back through this node: KUBE-POSTROUTING gives it the node's address.
import {
  comment,
  dnat,
  from,
  fromLocal,
  isRemembered,
  jump,
  moduleOf,
  protocolIs,
  remember,
  to,
  toPort,
} from '../iptables/matches.ts'
import { type Chains, type Rule, rule } from '../iptables/rule.ts'
import { endpointChain } from './chain-names.ts'
import { type Endpoint, endpointText } from './endpoint.ts'
import { flatEndpoints } from './flat-layout.ts'
import { localDetector } from './local-detector.ts'
import type { RenderContext } from './render-context.ts'
import type { EndpointLink } from './rendered.ts'
import { admittedSources, isGated, type Routing } from './routing.ts'
import type { ServicePort } from './service-port.ts'

/** Callees first. */
export function renderChains(port: ServicePort, routing: Routing, context: RenderContext): Chains {
  const { names, choice } = routing
  const chains = new Map<string, readonly Rule[]>()
  // Each name costs a hash: made once.
  const targets = new Map(choice.reachable.map((endpoint) => [endpoint, endpointChain(port, endpointText(endpoint))]))
  for (const [endpoint, chain] of targets) chains.set(chain, endpointRules(port, endpoint, chain, context))
  for (const [name, endpoints] of [
    [names.cluster, choice.cluster],
    [names.local, choice.local],
  ] as const) {
    if (endpoints.length === 0) continue
    const members = new Set(endpoints)
    const spread = spreadRules(port, name, new Map([...targets].filter(([endpoint]) => members.has(endpoint))), context)
    for (const [chain, rules] of spread)
      chains.set(
        chain,
        chain === name && name === routing.internal ? [...internalRules(port, context), ...rules] : rules,
      )
  }
  if (routing.external !== undefined) chains.set(routing.external, externalRules(port, routing, context))
  if (routing.external !== undefined && isGated(port))
    chains.set(names.firewall, firewallRules(port, routing.external, context))
  return chains
}

/**
 * What comes from off the cluster, or from the node itself, to a ClusterIP would be answered past us by an endpoint on
 * another node.
 */
function internalRules(port: ServicePort, { options, node }: RenderContext): readonly Rule[] {
  const match = options.masqueradeAll ? {} : localDetector(options, node)?.ifNotLocal
  if (match === undefined) return []
  return [
    rule(
      match.source,
      to(port.clusterIp),
      match.device,
      protocolIs(port.protocol),
      comment(`${port.id} cluster IP`),
      toPort(port.protocol, port.port),
      jump('KUBE-MARK-MASQ'),
    ),
  ]
}

function externalRules(
  port: ServicePort,
  { names, externalPolicy }: Routing,
  { options, node }: RenderContext,
): readonly Rule[] {
  const cluster = jump(names.cluster)
  const rest = externalPolicy === undefined ? [] : [rule(jump(externalPolicy))]
  if (!port.externalLocal)
    return [rule(comment(`masquerade traffic for ${port.id} external destinations`), jump('KUBE-MARK-MASQ')), ...rest]
  // Endpoints of this node alone: clients keep their address. Pods, and the node whose own address the destination may
  // be, go to all endpoints as if their traffic went out and came back.
  const local = localDetector(options, node)?.ifLocal
  return [
    ...(local === undefined
      ? []
      : [rule(local.source, local.device, comment(`pod traffic for ${port.id} external destinations`), cluster)]),
    rule(comment(`masquerade LOCAL traffic for ${port.id} external destinations`), fromLocal(), jump('KUBE-MARK-MASQ')),
    rule(comment(`route LOCAL traffic for ${port.id} external destinations`), fromLocal(), cluster),
    ...rest,
  ]
}

/** What none of the ranges holds goes on undelivered, and KUBE-PROXY-FIREWALL drops it. */
function firewallRules(port: ServicePort, external: string, { node }: RenderContext): readonly Rule[] {
  const why = comment(`${port.id} loadbalancer IP`)
  return [
    ...admittedSources(port, node).map((range) => rule(from(range), why, jump(external))),
    rule(comment(`other traffic to ${port.id} will be dropped by KUBE-PROXY-FIREWALL`)),
  ]
}

/** Clients with affinity first meet the endpoints that they are known to; all others are spread evenly. */
function spreadRules(
  port: ServicePort,
  chain: string,
  targets: ReadonlyMap<Endpoint, string>,
  { largeCluster, endpointLayout }: RenderContext,
): Chains {
  const links = [...targets].map(([endpoint, target]): EndpointLink => ({
    target,
    comment: largeCluster ? undefined : comment(`${port.id} -> ${endpointText(endpoint)}`),
  }))
  if (port.affinitySeconds === undefined) return endpointLayout(chain, links)
  const seconds = port.affinitySeconds
  const known = links.map(({ target, comment: why }) =>
    rule(why, isRemembered(target, seconds, port.family), jump(target)),
  )
  return new Map([...flatEndpoints(chain, links)].map(([name, rules]) => [name, [...known, ...rules]]))
}

function endpointRules(
  port: ServicePort,
  endpoint: Endpoint,
  chain: string,
  { largeCluster }: RenderContext,
): readonly Rule[] {
  const why = largeCluster ? undefined : comment(port.id)
  // The kernel's list of the clients of one endpoint bears the name of its chain.
  const remembering = port.affinitySeconds === undefined ? undefined : remember(chain, port.family)
  return [
    // A pod that reached itself through the Service would answer itself, past conntrack.
    rule(from(endpoint.address), why, jump('KUBE-MARK-MASQ')),
    rule(protocolIs(port.protocol), why, remembering, moduleOf(port.protocol), dnat(endpointText(endpoint))),
  ]
}
