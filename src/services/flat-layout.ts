// kube-proxy's layout: every frontend in one chain, every endpoint of a port in one chain. Cost per new connection
// grows with their number.
import type { Chains, EndpointLink, Frontend } from './rendered.ts'
import { jump, rule } from './rule-text.ts'

/** Each link gets its share of what the links before it have left: 1/n, 1/(n-1), ..., the rest. */
export function flatEndpoints(chain: string, links: readonly EndpointLink[]): Chains {
  const rules = links.map(({ target, comment }, index) => rule(comment, chance(1, links.length - index), jump(target)))
  return new Map([[chain, rules]])
}

/**
 * The match that is true in `part` of `whole` cases; empty where that is always. iptables keeps multiples of 2^-31 and
 * prints eleven decimals of them.
 */
export function chance(part: number, whole: number): string {
  if (part >= whole) return ''
  const kept = Math.round(Number((part / whole).toFixed(10)) * 2 ** 31) / 2 ** 31
  return `-m statistic --mode random --probability ${kept.toFixed(11)}`
}

export function flatFrontends(frontends: readonly Frontend[]): Chains {
  const rulesOf = (nodePorts: boolean) =>
    frontends.filter(({ kind }) => (kind === 'node-port') === nodePorts).map((frontend) => frontend.rule)
  return new Map([
    ['KUBE-NODEPORTS', rulesOf(true)],
    ['KUBE-SERVICES', rulesOf(false)],
  ])
}
