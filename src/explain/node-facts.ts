// What the doctor looks at: read once (gather-facts.ts), judged by the checks.
import type { AgentStatus } from '../agent/status-shape.ts'
import type { IptablesBackend } from '../iptables/iptables.ts'
import type { NftTable } from '../kernel/nft-tables.ts'
import type { Link } from '../kernel/observed.ts'
import type { Family } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import type { PeerProbe } from './peer-probe.ts'

export interface NodeFacts {
  /** Undefined where no agent answers. */
  readonly agent: AgentStatus | undefined
  /** Why not. */
  readonly agentFailure: string | undefined
  /** Of the pods; IPv4 while the agent does not say. */
  readonly families: readonly Family[]
  readonly bridge: InterfaceName
  readonly device: InterfaceName
  /** By key below /proc/sys; undefined where the kernel has no such key. */
  readonly sysctls: ReadonlyMap<string, string | undefined>
  readonly links: readonly Link[]
  /** The backend that the node's rules are in. */
  readonly backend: IptablesBackend
  readonly forwardChains: readonly ForwardChain[]
  /** How many rules the other backend holds. */
  readonly otherBackendRules: number
  /** Why they could not be read; undefined where they could. */
  readonly otherBackendFailure: string | undefined
  /** Undefined where nft is not installed. */
  readonly nft: NftFacts | undefined
  /** What could not be read, because its tool is missing, crashes or fails: a sentence each. */
  readonly failures: readonly string[]
  readonly cni: { readonly directory: string; readonly competing: readonly string[] }
  readonly peers: readonly PeerProbe[]
  /** ms since the epoch. */
  readonly now: number
}

/** FORWARD of one backend and family, as `iptables -S FORWARD` prints it. */
export interface ForwardChain {
  readonly family: Family
  readonly backend: IptablesBackend
  readonly lines: readonly string[]
}

/** What other programs, iptables apart, keep in nftables. */
export interface NftFacts {
  /** Of the nft here: [1, 0, 6]. */
  readonly version: readonly number[]
  readonly tables: readonly NftTable[]
  /** Those that this nft cannot list, with the reason: "inet other" -> "died of SIGSEGV". */
  readonly unread: ReadonlyMap<string, string>
  /** Those with a chain on the forward hook. */
  readonly firewalls: readonly Firewall[]
}

export interface Firewall {
  /** "inet firewalld" */
  readonly table: string
  /** What is dropped there whoever sent it: a chain's policy, or a rule without a condition. */
  readonly drops: readonly string[]
  /** Whether it names the bridge or a pod network anywhere: somebody has thought of pods. */
  readonly knowsPods: boolean
}
