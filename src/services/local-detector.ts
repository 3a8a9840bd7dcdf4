// How the rules of one family tell a packet of a local pod from others. It decides two things: which traffic to a
// ClusterIP is masqueraded, and whose traffic to an external address takes the short way to all endpoints where
// externalTrafficPolicy is Local.
import { from, fromDevice, not } from '../iptables/matches.ts'
import type { Match } from '../iptables/rule.ts'
import type { Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'

/** One match, as two parts of a rule: one stands before the destination, the other after it. One is undefined. */
export interface LocalMatch {
  readonly source?: Match
  readonly device?: Match
}

export interface LocalDetector {
  readonly ifLocal: LocalMatch
  readonly ifNotLocal: LocalMatch
}

/** Undefined where the family has nothing to tell by. */
export function localDetector(
  { detectLocal }: Pick<ServicesOptions, 'detectLocal'>,
  { family, podCidr }: Pick<NodeFacts, 'family' | 'podCidr'>,
): LocalDetector | undefined {
  switch (detectLocal.by) {
    case 'clusterCidr':
      return bySource(detectLocal.cidrs, family)
    case 'nodeCidr':
      return bySource(podCidr === undefined ? [] : [podCidr], family)
    case 'bridge':
      return byDevice(detectLocal.name)
    case 'prefix':
      return byDevice(`${detectLocal.prefix}+`)
  }
}

function bySource(cidrs: readonly Cidr[], family: Family): LocalDetector | undefined {
  const cidr = cidrs.find((each) => each.family === family)
  return cidr && { ifLocal: { source: from(cidr) }, ifNotLocal: { source: not(from(cidr)) } }
}

function byDevice(name: string): LocalDetector {
  return { ifLocal: { device: fromDevice(name) }, ifNotLocal: { device: not(fromDevice(name)) } }
}
