// Rules that lead the API server's address and port elsewhere, found in the text of a table: left by an agent that did
// not protect them yet, or by kube-proxy. Pure.
import { parseLine } from '../iptables/parse-rule.ts'
import type { Option, Rule } from '../iptables/rule.ts'
import { type Address, addressBits, familyOf } from '../net/address.ts'
import { cidrContains, parseCidr } from '../net/cidr.ts'
import type { ServerPlace } from './api-server-places.ts'

export interface TakingRule {
  readonly table: 'nat' | 'filter'
  /** "-A CHAIN ..." */
  readonly rule: string
}

/** Chains of Services, whoever wrote them, and of host ports. */
const chains = /^(?:KUBE-|FAIRLEAD-HOSTPORT)/
const hostPortChains = /^FAIRLEAD-/
/** What ends a packet's way to the address that it was sent to. */
const targets = { nat: /^(?:KUBE-(?:SVC|SVL|EXT|FW|XLB)-|DNAT$)/, filter: /^(?:REJECT|DROP)$/ }

/**
 * Finds them among the rules of a table.
 * @param lines as iptables-save prints them, of one family
 * @param places where the API server is
 * @param isOwn whether an address is this node's: only those are taken by node ports and host ports
 * @param withServices false: chains of Services are another program's, and left alone
 */
export function rulesInTheWay(
  table: TakingRule['table'],
  lines: readonly string[],
  places: readonly ServerPlace[],
  { isOwn, withServices }: { isOwn: (address: Address) => boolean; withServices: boolean },
): TakingRule[] {
  return lines
    .filter((line) => {
      // 10,000 Services have 100,000 rules: few are worth a parser.
      if (!places.some(({ port }) => line.includes(` ${port} `))) return false
      const { chain, rule } = parseLine(line) ?? {}
      if (chain === undefined || rule === undefined || !chains.test(chain)) return false
      if (!withServices && !hostPortChains.test(chain)) return false
      return targets[table].test(rule.target?.name ?? '') && places.some((place) => takes(rule, place, isOwn))
    })
    .map((rule) => ({ table, rule }))
}

function takes(rule: Rule, { address, port }: ServerPlace, isOwn: (address: Address) => boolean): boolean {
  const options = rule.matches.flatMap((match) => match.options)
  const has = (name: string, value: string): boolean =>
    options.some((option) => option.name === name && !option.negated && option.value === value)
  const destinations = options.filter(({ name }) => name === '-d')
  return (
    has('-p', 'tcp') &&
    has('--dport', String(port)) &&
    (destinations.length === 0 ? isOwn(address) : destinations.every((option) => isWithin(address, option)))
  )
}

function isWithin(address: Address, { value, negated }: Option): boolean {
  if (negated || !/^[\da-f.:]+(?:\/\d+)?$/.test(value)) return false
  return cidrContains(parseCidr(value.includes('/') ? value : `${value}/${addressBits(familyOf(address))}`), address)
}
