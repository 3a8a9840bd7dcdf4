// The pod networks of others, as their own records name them: by these alone are routes known to be theirs that bear no
// mark. Pure.
import { type Cidr, parseCidr } from '../../net/cidr.ts'
import type { Owner } from './owners.ts'
import type { TableLines } from './rules.ts'

export interface ForeignNetwork {
  readonly owner: Owner
  readonly cidr: Cidr
}

const inRules: readonly (readonly [RegExp, Owner])[] = [
  [/^-A FLANNEL-FWD -s (\S+) .*-j ACCEPT$/, 'flannel'],
  [/^-A KIND-MASQ-AGENT -d (\S+) .*-j RETURN$/, 'kindnet'],
]

/** @param ofFlannel what flannel's file says of them */
export function podNetworks(tables: readonly TableLines[], ofFlannel: readonly string[]): ForeignNetwork[] {
  const lines = tables.flatMap((table) => table.lines)
  const told = inRules.flatMap(([pattern, owner]) =>
    lines.flatMap((line) => pattern.exec(line)?.[1] ?? []).map((text) => ({ owner, text })),
  )
  return [...ofFlannel.map((text) => ({ owner: 'flannel' as const, text })), ...told].flatMap(({ owner, text }) => {
    const cidr = cidrIn(text)
    return cidr === undefined ? [] : [{ owner, cidr }]
  })
}

function cidrIn(text: string): Cidr | undefined {
  try {
    return parseCidr(text)
  } catch {
    return undefined
  }
}
