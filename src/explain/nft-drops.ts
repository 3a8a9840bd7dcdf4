// What a table of nftables drops on the forward hook without looking at the packet: by a chain's policy, or by a rule
// that has no condition. Pure.
import type { NftFields, NftObject } from '../kernel/nftables.ts'

/** @param objects of the whole table @returns a few words each */
export function dropsOf(objects: readonly NftObject[]): string[] {
  const chains = objects
    .flatMap(({ chain }): NftFields[] => (chain === undefined ? [] : [chain]))
    .filter(({ hook }) => hook === 'forward')
  const rules = objects
    .flatMap(({ rule }): NftFields[] => (rule === undefined ? [] : [rule]))
    .filter((rule) => chains.some(({ name }) => name === rule['chain']) && isDrop(rule))
  return [
    ...chains.filter(({ policy }) => policy === 'drop').map(({ name }) => `policy of chain ${String(name)}`),
    ...rules.map(({ chain }) => `a rule of chain ${String(chain)}`),
  ]
}

function isDrop({ expr }: NftFields): boolean {
  const parts = (Array.isArray(expr) ? expr : []) as NftFields[]
  return (
    parts.some((part) => 'drop' in part || 'reject' in part) &&
    parts.every((part) => !('match' in part) && !('limit' in part))
  )
}
