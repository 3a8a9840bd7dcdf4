// On which addresses of the node its node ports answer.
import { comment, jump, not, to, toLocal } from '../iptables/matches.ts'
import { type Rule, rule } from '../iptables/rule.ts'
import type { Address, Family } from '../net/address.ts'
import { cidrContains, cidrsOverlap, parseCidr } from '../net/cidr.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'

const loopback = { 4: parseCidr('127.0.0.0/8'), 6: parseCidr('::1/128') }
const why = comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain')

/**
 * The end of KUBE-SERVICES: one rule for all of the node's addresses, or one for each that node ports are restricted
 * to.
 */
export function nodePortJumps(options: ServicesOptions, node: NodeFacts): readonly Rule[] {
  const addresses = nodePortAddresses(options, node)
  if (addresses === 'all') {
    // Node ports never work on ::1; on 127.0.0.1 they need route_localnet.
    const except = hasLocalhostNodePorts(options, node.family) ? undefined : not(to(loopback[node.family]))
    return [rule(except, why, toLocal(), jump('KUBE-NODEPORTS'))]
  }
  const reachable = addresses.filter(
    (address) => !cidrContains(loopback[node.family], address) || hasLocalhostNodePorts(options, node.family),
  )
  return reachable.toSorted().map((address) => rule(to(address), why, jump('KUBE-NODEPORTS')))
}

/** The node's addresses that node ports are restricted to, or all of them. */
export function nodePortAddresses(
  options: Pick<ServicesOptions, 'nodePortAddresses'>,
  { family, address, localAddresses }: NodeFacts,
): 'all' | readonly Address[] {
  const { nodePortAddresses: chosen } = options
  if (chosen === 'primary') return address === undefined ? [] : [address]
  if (isAll(chosen, family)) return 'all'
  return localAddresses.filter((local) => chosen.some((cidr) => cidrContains(cidr, local)))
}

/**
 * Returns a test for addresses that node ports answer on: what {@link nodePortJumps} lets through.
 * @param isLocal whether the kernel takes an address for one of its own
 */
export function answersNodePorts(
  options: ServicesOptions,
  node: NodeFacts,
  isLocal: (address: Address) => boolean,
): (address: Address) => boolean {
  const addresses = nodePortAddresses(options, node)
  const chosen = addresses === 'all' ? undefined : new Set(addresses)
  const localhost = hasLocalhostNodePorts(options, node.family)
  return (address) =>
    (chosen?.has(address) ?? isLocal(address)) && (localhost || !cidrContains(loopback[node.family], address))
}

/** IPv4 alone, and only where node ports are on loopback addresses at all. */
export function hasLocalhostNodePorts(
  { localhostNodePorts, nodePortAddresses: chosen }: Pick<ServicesOptions, 'localhostNodePorts' | 'nodePortAddresses'>,
  family: Family,
): boolean {
  if (!localhostNodePorts || family !== 4 || chosen === 'primary') return false
  return isAll(chosen, family) || chosen.some((cidr) => cidrsOverlap(cidr, loopback[4]))
}

/** A family that no block is of is not restricted, as with kube-proxy. */
function isAll(chosen: Exclude<ServicesOptions['nodePortAddresses'], 'primary'>, family: Family): chosen is 'all' {
  if (chosen === 'all') return true
  const own = chosen.filter((cidr) => cidr.family === family)
  return own.length === 0 || own.some(({ prefix }) => prefix === 0)
}
