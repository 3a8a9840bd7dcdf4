// Whose rules the engine looks after: which chains are theirs, and how they share built-in chains with other programs.
// Services and the pod network each have one (services/owner.ts, pods/rules/owner.ts).
import type { IptablesTable } from './iptables.ts'

/** A chain of a table. */
export interface Place {
  readonly table: IptablesTable
  readonly chain: string
}

/**
 * How a chain is compared and written.
 * - `sequence`: the first match decides, so a difference rewrites the chain.
 * - `set`: no two rules match the same packet, so single rules come and go.
 * - `shared`: another program has rules there too; ours are appended where they are missing, and the chain stays.
 */
export type ChainKind = 'sequence' | 'set' | 'shared'

export interface RulesOwner {
  /** For log messages: "services". */
  readonly name: string
  /** The tables that hold chains of this owner, in the order in which they are written. */
  readonly tables: readonly IptablesTable[]
  /** The built-in chains that may hold a jump to a chain of this owner. */
  readonly bases: readonly Place[]

  /**
   * Names every chain that this owner ever makes, where these are few: then they are read chain by chain, which costs
   * little beside another owner's ten thousand Services. Undefined: whole tables are read.
   */
  readonly chains?: readonly Place[]
  /** Tells whether a chain may be removed when it is not wanted. */
  owns(table: IptablesTable, chain: string): boolean
  kindOf(table: IptablesTable, chain: string): ChainKind

  /** Tells whether a rule of a built-in chain is a jump of this owner. @param rule behind `-A CHAIN ` */
  ownsJump(place: Place, rule: string): boolean
  /** Jumps stand behind every jump to a chain whose name begins like this. */
  readonly jumpsBehind?: string

  /** The chains whose ends are probed, besides the jumps: a flush shows there. */
  readonly roots: readonly Place[]

  /**
   * Tables whose chains are kept as text, and not as fingerprints alone. They are few, and written by single rules or in
   * two steps.
   */
  readonly textTables: readonly IptablesTable[]
  /**
   * Table filter refuses what table nat sends nowhere: what comes is written before nat, what goes after it, so that no
   * packet falls between the two.
   */
  readonly filterInTwoSteps: boolean
}

/** Names a chain in logs and as a key: "nat FAIRLEAD-EGRESS". */
export function placeKey({ table, chain }: Place): string {
  return `${table} ${chain}`
}
