// Spreads connections evenly over many endpoints in few rules.
//
// kube-proxy asks endpoint after endpoint: the i-th of n is taken with probability 1/(n-i), so that 1,000 endpoints
// cost 500 rules a connection. Above 64 we ask group after group first: a group of s endpoints is taken with
// probability s/(endpoints in it and in the groups after it), then one endpoint in it as kube-proxy does. The product
// is 1/n for each of them. Which group an endpoint is in follows from its own name alone, so one that comes or goes
// changes its group and the weights in the chain above, and nothing else.
import { chance, jump } from '../../iptables/matches.ts'
import { type Rule, rule } from '../../iptables/rule.ts'
import { flatEndpoints } from '../flat-layout.ts'
import type { EndpointLayout, EndpointLink } from '../rendered.ts'
import { groupChainName } from './tree-names.ts'

/** Up to so many endpoints are asked one after the other, as kube-proxy does. */
const mostLinear = 64
/** A chain's name has room for two letters, so for two levels of groups. */
const deepest = 2

export const endpointTree: EndpointLayout = (chain, links) => {
  const chains = new Map<string, readonly Rule[]>()
  spread({ chain, links, level: 0, chains })
  return chains
}

function spread({
  chain,
  links,
  level,
  chains,
}: {
  chain: string
  links: readonly EndpointLink[]
  level: number
  chains: Map<string, readonly Rule[]>
}): void {
  if (links.length <= mostLinear || level === deepest) {
    for (const [name, rules] of flatEndpoints(chain, links)) chains.set(name, rules)
    return
  }
  const groups = [...Map.groupBy(links, ({ target }) => letterOf(target, level, groupCount(links.length)))].toSorted(
    ([a], [b]) => (a < b ? -1 : 1),
  )
  let remaining = links.length
  const rules: Rule[] = []
  for (const [letter, members] of groups) {
    const group = groupChainName(chain, letter)
    spread({ chain: group, links: members, level: level + 1, chains })
    rules.push(rule(chance(members.length, remaining), jump(group)))
    remaining -= members.length
  }
  chains.set(chain, rules)
}

/**
 * Powers of two, so that a letter stands for a fixed set of endpoints until their number has doubled. 32 are the most
 * that one letter can tell apart.
 */
function groupCount(endpoints: number): number {
  return Math.min(32, Math.max(4, 2 ** Math.ceil(Math.log2(Math.sqrt(endpoints)))))
}

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const hashAt = 'KUBE-SEP-'.length

/** The name of an endpoint's chain is a hash already: its characters are as good as dice. */
function letterOf(target: string, level: number, count: number): string {
  return base32[base32.indexOf(target[hashAt + level] ?? 'A') % count] ?? 'A'
}
