// The pod networks of others, as their own records name them: by these alone are routes known to be theirs that bear no
// mark. Pure.
import { parseLine } from '../../iptables/parse-rule.ts'
import { optionOf } from '../../iptables/rule.ts'
import { type Cidr, parseCidr } from '../../net/cidr.ts'
import type { Owner } from './owners.ts'
import type { TableLines } from './rules.ts'

export interface ForeignNetwork {
  readonly owner: Owner
  readonly cidr: Cidr
}

/** The rules that name a pod network: by their chain, the option that holds it, and their target. */
const inRules = [
  { chain: 'FLANNEL-FWD', option: '-s', target: 'ACCEPT', owner: 'flannel' },
  { chain: 'KIND-MASQ-AGENT', option: '-d', target: 'RETURN', owner: 'kindnet' },
] as const

/** @param ofFlannel what flannel's file says of them */
export function podNetworks(tables: readonly TableLines[], ofFlannel: readonly string[]): ForeignNetwork[] {
  const rules = tables.flatMap(({ lines }) => lines.flatMap((line) => parseLine(line) ?? []))
  const told = inRules.flatMap(({ chain, option, target, owner }) =>
    rules
      .filter((each) => each.chain === chain && each.rule.target?.name === target)
      .map(({ rule }) => ({ owner, text: optionOf(rule, option) ?? '' })),
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
