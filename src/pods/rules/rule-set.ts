// What the iptables side of the pod network consists of: chains of our own, and the jumps that lead to them.
import type { ProtectedPorts } from '../../cluster/protected-ports.ts'
import type { Family } from '../../net/address.ts'
import type { Jump } from '../../iptables/jumps.ts'
import { from, to } from '../../iptables/matches.ts'
import type { Place } from '../../iptables/owner.ts'
import type { Match, Rule } from '../../iptables/rule.ts'
import type { Cidr } from '../../net/cidr.ts'
import type { InterfaceName } from '../../net/interface-name.ts'
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

export interface Chain extends Place {
  readonly rules: readonly Rule[]
}

export interface RuleSet {
  readonly chains: readonly Chain[]
  /** Each stands after every jump to a KUBE- chain. */
  readonly jumps: readonly Jump[]
}

export const noRules: RuleSet = { chains: [], jumps: [] }

/** The packet comes from the block; undefined where that is every address, since iptables prints nothing for it. */
export function fromBlock(cidr: Cidr): Match | undefined {
  return cidr.prefix === 0 ? undefined : from(cidr)
}

/** The packet goes to the block; undefined where that is every address. */
export function toBlock(cidr: Cidr): Match | undefined {
  return cidr.prefix === 0 ? undefined : to(cidr)
}

/** Returns those of the family. */
export function ofFamily(cidrs: readonly Cidr[], family: Family): Cidr[] {
  return cidrs.filter((cidr) => cidr.family === family)
}
