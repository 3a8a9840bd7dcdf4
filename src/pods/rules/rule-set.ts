// What the iptables side of the pod network consists of: chains of our own, and the jumps that lead to them.
import type { ProtectedPorts } from '../../cluster/protected-ports.ts'
import type { Family } from '../../net/address.ts'
import { type Cidr, formatCidr } from '../../net/cidr.ts'
import type { InterfaceName } from '../../net/interface-name.ts'
import type { IptablesTable } from '../../iptables/iptables.ts'
import type { Attachment } from '../attachment.ts'

/** All that the rules of one family depend on. CIDRs of the other family are ignored. */
export interface RulesInput {
  readonly family: Family
  /** This node's podCIDRs. */
  readonly localPodCidrs: readonly Cidr[]
  /** The podCIDRs of every node, in any order. */
  readonly podNetworks: readonly Cidr[]
  readonly nonMasqueradeCidrs: readonly Cidr[]
  readonly bridge: InterfaceName
  readonly masquerade: boolean
  readonly localhostHostPorts: boolean
  /** What no host port gets. */
  readonly needed: ProtectedPorts
  /**
   * Of these, those with port mappings matter. No two of them want the same host port: {@link HostPortClaims} sees to
   * it.
   */
  readonly attachments: readonly Attachment[]
}

export interface Chain {
  readonly table: IptablesTable
  readonly name: string
  /**
   * Each exactly as `iptables -S` prints it (the same text on both backends), so that what the kernel holds is compared
   * as text.
   */
  readonly rules: readonly string[]
  /**
   * `sequence`: the first match decides, a difference rewrites the chain. `set`: no two rules match the same packet, so
   * single ones come and go.
   */
  readonly order: 'sequence' | 'set'
}

/** The rule in a built-in chain that leads to one of ours. It stands after every jump to a KUBE- chain there. */
export interface Jump {
  readonly table: IptablesTable
  readonly base: BaseChain
  readonly target: string
  /** As `iptables -S` prints it. */
  readonly rule: string
  /** `first`: before the rules of all other programs but kube-proxy. `last`: appended. */
  readonly place: 'first' | 'last'
}

export type BaseChain = 'PREROUTING' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

export interface RuleSet {
  readonly chains: readonly Chain[]
  readonly jumps: readonly Jump[]
}

export const noRules: RuleSet = { chains: [], jumps: [] }

export interface Place {
  readonly table: IptablesTable
  readonly name: string
}

/**
 * Every chain that we ever make: what is not desired of these is removed. A name that was once in a release stays here.
 */
export const ourChains: readonly Place[] = [
  { table: 'mangle', name: 'FAIRLEAD-LOCALNET' },
  { table: 'filter', name: 'FAIRLEAD-FORWARD' },
  { table: 'nat', name: 'FAIRLEAD-EGRESS' },
  { table: 'nat', name: 'FAIRLEAD-HOSTPORTS' },
  { table: 'nat', name: 'FAIRLEAD-HOSTPORT-DNAT' },
  { table: 'nat', name: 'FAIRLEAD-HOSTPORT-MASQ' },
]

/** Every built-in chain that may hold a jump of ours. */
export const baseChains: readonly Place[] = [
  { table: 'mangle', name: 'PREROUTING' },
  { table: 'filter', name: 'FORWARD' },
  { table: 'nat', name: 'PREROUTING' },
  { table: 'nat', name: 'OUTPUT' },
  { table: 'nat', name: 'POSTROUTING' },
]

/** `nat FAIRLEAD-EGRESS`: the key of a chain in maps, and its name in logs. */
export function placeKey({ table, name }: Place): string {
  return `${table} ${name}`
}

/** One rule, from its parts in the order that `iptables -S` has them; empty parts are left out. */
export function rule(chain: string, ...parts: readonly string[]): string {
  return ['-A', chain, ...parts.filter(Boolean)].join(' ')
}

/** A comment of ours holds a space, so that iptables always prints it in quotes. */
export function comment(text: string): string {
  return `-m comment --comment "${text}"`
}

/** `-s CIDR`; nothing for all addresses, as iptables prints it. */
export function from(cidr: Cidr): string {
  return cidr.prefix === 0 ? '' : `-s ${formatCidr(cidr)}`
}

/** `-d CIDR`; nothing for all addresses. */
export function to(cidr: Cidr): string {
  return cidr.prefix === 0 ? '' : `-d ${formatCidr(cidr)}`
}

/** Those of the family. */
export function ofFamily(cidrs: readonly Cidr[], family: Family): Cidr[] {
  return cidrs.filter((cidr) => cidr.family === family)
}
