// kube-proxy's layout: every frontend in one chain, every endpoint of a port in one chain. Cost per new connection
// grows with their number.
import { chance, jump } from '../iptables/matches.ts'
import { type Chains, rule } from '../iptables/rule.ts'
import { frontendRule } from './render-frontends.ts'
import type { EndpointLink, Frontend } from './rendered.ts'

/** Each link gets its share of what the links before it have left: 1/n, 1/(n-1), ..., the rest. */
export function flatEndpoints(chain: string, links: readonly EndpointLink[]): Chains {
  const rules = links.map(({ target, comment }, index) => rule(comment, chance(1, links.length - index), jump(target)))
  return new Map([[chain, rules]])
}

export function flatFrontends(frontends: readonly Frontend[]): Chains {
  const rulesOf = (nodePorts: boolean) =>
    frontends.filter(({ kind }) => (kind === 'node-port') === nodePorts).map(frontendRule)
  return new Map([
    ['KUBE-NODEPORTS', rulesOf(true)],
    ['KUBE-SERVICES', rulesOf(false)],
  ])
}
