// What iptables holds of our chains, and of the built-in chains that lead to them.
import type { Family } from '../../net/address.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import { settleAll } from '../../runtime/settle-all.ts'
import type { ObservedChains } from './diff.ts'
import { type Place, placeKey } from './rule-set.ts'

/** Chain by chain: a whole table takes seconds to read where kube-proxy keeps ten thousand Services in it. */
export async function observeChains(
  iptables: Iptables,
  family: Family,
  places: readonly Place[],
): Promise<ObservedChains> {
  const found = await settleAll(
    places.map(async (place) => [placeKey(place), await iptables.rulesOf(family, place.table, place.name)] as const),
  )
  return new Map(
    found.flatMap(([key, lines]) =>
      lines === undefined ? [] : [[key, lines.filter((line) => line.startsWith('-A '))] as const],
    ),
  )
}
