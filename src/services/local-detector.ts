// How the rules of one family tell a packet of a local pod from others. It decides two things: which traffic to a
// ClusterIP is masqueraded, and whose traffic to an external address takes the short way to all endpoints where
// externalTrafficPolicy is Local.
import type { Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import { fromCidr } from './rule-text.ts'

/**
 * One match, as two parts of a rule: one stands before the destination, the other after it. The unused one is empty.
 */
export interface LocalMatch {
  readonly source: string
  readonly device: string
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
  return (
    cidr && {
      ifLocal: { source: fromCidr(cidr), device: '' },
      ifNotLocal: { source: `! ${fromCidr(cidr)}`, device: '' },
    }
  )
}

function byDevice(name: string): LocalDetector {
  return { ifLocal: { source: '', device: `-i ${name}` }, ifNotLocal: { source: '', device: `! -i ${name}` } }
}
