// The chains of one service port in table nat.
//
// The walk: KUBE-SERVICES found the frontend. A ClusterIP goes straight to KUBE-SVC (KUBE-SVL: this node's endpoints
// alone). External addresses and node ports go through KUBE-EXT, those of load balancers with source ranges through
// KUBE-FW before that. KUBE-SVC draws one of the endpoints' chains, and KUBE-SEP rewrites the destination. On the way
// KUBE-MARK-MASQ marks what must come back through this node: KUBE-POSTROUTING gives it the node's address.
import { endpointChain } from './chain-names.ts'
import { type Endpoint, endpointText } from './endpoint.ts'
import { flatEndpoints } from './flat-layout.ts'
import { localDetector } from './local-detector.ts'
import type { RenderContext } from './render-context.ts'
import type { Chains, EndpointLink, Rules } from './rendered.ts'
import { admittedSources, isGated, type Routing } from './routing.ts'
import { comment, from, fromCidr, jump, protocolIs, rule, to, toPort } from './rule-text.ts'
import type { ServicePort } from './service-port.ts'

/** Callees first. */
export function renderChains(port: ServicePort, routing: Routing, context: RenderContext): Chains {
  const { names, choice } = routing
  const chains = new Map<string, Rules>()
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
function internalRules(port: ServicePort, { options, node }: RenderContext): Rules {
  const match = options.masqueradeAll ? { source: '', device: '' } : localDetector(options, node)?.ifNotLocal
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

function externalRules(port: ServicePort, { names, externalPolicy }: Routing, { options, node }: RenderContext): Rules {
  const cluster = jump(names.cluster)
  const rest = externalPolicy === undefined ? [] : [jump(externalPolicy)]
  if (!port.externalLocal)
    return [rule(comment(`masquerade traffic for ${port.id} external destinations`), jump('KUBE-MARK-MASQ')), ...rest]
  // Endpoints of this node alone: clients keep their address. Pods, and the node whose own address the destination may
  // be, go to all endpoints as if their traffic went out and came back.
  const local = localDetector(options, node)?.ifLocal
  const fromNode = '-m addrtype --src-type LOCAL'
  return [
    ...(local === undefined
      ? []
      : [rule(local.source, local.device, comment(`pod traffic for ${port.id} external destinations`), cluster)]),
    rule(comment(`masquerade LOCAL traffic for ${port.id} external destinations`), fromNode, jump('KUBE-MARK-MASQ')),
    rule(comment(`route LOCAL traffic for ${port.id} external destinations`), fromNode, cluster),
    ...rest,
  ]
}

/** What none of the ranges holds goes on undelivered, and KUBE-PROXY-FIREWALL drops it. */
function firewallRules(port: ServicePort, external: string, { node }: RenderContext): Rules {
  const why = comment(`${port.id} loadbalancer IP`)
  return [
    ...admittedSources(port, node).map((range) => rule(fromCidr(range), why, jump(external))),
    comment(`other traffic to ${port.id} will be dropped by KUBE-PROXY-FIREWALL`),
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
    comment: largeCluster ? '' : comment(`${port.id} -> ${endpointText(endpoint)}`),
  }))
  if (port.affinitySeconds === undefined) return endpointLayout(chain, links)
  const seconds = port.affinitySeconds
  const known = links.map(({ target, comment: why }) =>
    rule(why, `-m recent --rcheck --seconds ${seconds} --reap ${recentList(port, target)}`, jump(target)),
  )
  return new Map([...flatEndpoints(chain, links)].map(([name, rules]) => [name, [...known, ...rules]]))
}

function endpointRules(port: ServicePort, endpoint: Endpoint, chain: string, { largeCluster }: RenderContext): Rules {
  const why = largeCluster ? '' : comment(port.id)
  const remember = port.affinitySeconds === undefined ? '' : `-m recent --set ${recentList(port, chain)}`
  return [
    // A pod that reached itself through the Service would answer itself, past conntrack.
    rule(from(endpoint.address), why, jump('KUBE-MARK-MASQ')),
    rule(
      protocolIs(port.protocol),
      why,
      remember,
      `-m ${port.protocol}`,
      jump(`DNAT --to-destination ${endpointText(endpoint)}`),
    ),
  ]
}

/** The kernel's list of clients of one endpoint bears the name of its chain. */
function recentList({ family }: ServicePort, chain: string): string {
  return `--name ${chain} --mask ${family === 4 ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'} --rsource`
}
