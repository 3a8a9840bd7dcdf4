// The facts that the checks of the doctor use. They are read once (gather-facts.ts).
import type { AgentStatus } from '../agent/status-shape.ts'
import type { IptablesBackend } from '../iptables/iptables.ts'
import type { NftTable } from '../kernel/nft-tables.ts'
import type { Link } from '../kernel/observed.ts'
import type { Family } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import type { PeerProbe } from './peer-probe.ts'

export interface NodeFacts {
  /** Undefined when no agent answers. */
  readonly agent: AgentStatus | undefined
  /** Why no agent answers; undefined when one does. */
  readonly agentFailure: string | undefined
  /** The families of pods; IPv4 while no agent reports them. */
  readonly families: readonly Family[]
  readonly bridge: InterfaceName
  readonly device: InterfaceName
  /** Values by the key below /proc/sys; undefined when the kernel has no such key. */
  readonly sysctls: ReadonlyMap<string, string | undefined>
  readonly links: readonly Link[]
  /** The backend with this node's rules. */
  readonly backend: IptablesBackend
  readonly forwardChains: readonly ForwardChain[]
  /** The number of rules in the other backend. */
  readonly otherBackendRules: number
  /** Why these rules could not be read; undefined when they could. */
  readonly otherBackendFailure: string | undefined
  /** Undefined when nft is not installed. */
  readonly nft: NftFacts | undefined
  /** One sentence for each read that failed, because its tool is missing, crashes or reports an error. */
  readonly failures: readonly string[]
  readonly cni: { readonly directory: string; readonly competing: readonly string[] }
  readonly peers: readonly PeerProbe[]
  /** ms since the epoch. */
  readonly now: number
}

/** The chain FORWARD of one backend and family, as `iptables -S FORWARD` prints it. */
export interface ForwardChain {
  readonly family: Family
  readonly backend: IptablesBackend
  readonly lines: readonly string[]
}

/** The nftables tables of other programs, without those of iptables. */
export interface NftFacts {
  /** The version of this node's nft: [1, 0, 6]. */
  readonly version: readonly number[]
  readonly tables: readonly NftTable[]
  /** The tables that this nft cannot list, with the reason: "inet other" -> "died of SIGSEGV". */
  readonly unread: ReadonlyMap<string, string>
  /** The tables with a chain on the forward hook. */
  readonly firewalls: readonly Firewall[]
}

export interface Firewall {
  /** "inet firewalld" */
  readonly table: string
  /** What drops every packet: the policy of a chain, or a rule without a condition. */
  readonly drops: readonly string[]
  /** Whether the table mentions the bridge or a pod network, so its author has considered pods. */
  readonly knowsPods: boolean
}
