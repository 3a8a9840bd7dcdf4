// What rooms may ask of iptables in one network namespace. LinuxIptables (linux-iptables.ts) drives the real programs;
// unit tests use the fake in test/support.
import type { Family } from '../net/address.ts'

export type IptablesBackend = 'nft' | 'legacy'
export type IptablesTable = 'filter' | 'nat' | 'mangle' | 'raw'

export interface TableRule {
  readonly table: IptablesTable
  /** As `iptables -S` prints it: `-A CHAIN ...`. */
  readonly rule: string
}

/** Every method throws CommandError when the program itself fails. */
export interface Iptables {
  /** Returns the backend that holds the node's rules. It is chosen once, at the first use. */
  backend(): Promise<IptablesBackend>

  /** Applies text with iptables-restore or ip6tables-restore, `--noflush -w 5`: each table whole or not at all. */
  restore(family: Family, text: string): Promise<void>

  /**
   * Reads one chain as `iptables -S CHAIN` prints it: the policy or `-N` line first.
   * @param options.counters prints `-c PACKETS BYTES` before the target of each rule
   * @returns undefined where there is no such chain
   */
  rulesOf(
    family: Family,
    table: IptablesTable,
    chain: string,
    options?: { counters?: boolean },
  ): Promise<readonly string[] | undefined>

  /**
   * Streams a table as iptables-save prints it. A large table takes seconds: call it rarely, and never while a pod
   * waits.
   * @param seen receives each chain (":CHAIN ...") and rule ("-A CHAIN ..."), in that order
   */
  readTable(family: Family, table: IptablesTable, seen: (line: string) => void): Promise<void>

  /** Checks whether every one of the rules is there. One process checks them all and writes nothing. */
  hasRules(family: Family, rules: readonly TableRule[]): Promise<boolean>

  /**
   * Counts the writes by other programs so far, for half a millisecond of CPU however many rules there are. While the
   * number stays the same, nobody but us has changed the rules. Legacy does not notice a rule that is replaced by one of
   * the same length.
   * @returns undefined where the kernel does not count
   */
  foreignWrites(): Promise<number | undefined>

  /** Checks whether the other backend holds the chain. Rules in both backends are in force, one after the other. */
  isInOtherBackend(family: Family, table: IptablesTable, chain: string): Promise<boolean>
}

/** @returns "iptables" or "ip6tables" */
export function programName(family: Family): 'iptables' | 'ip6tables' {
  return family === 4 ? 'iptables' : 'ip6tables'
}

/** @returns the program a person calls: "iptables-nft", "ip6tables-legacy" */
export function backendProgram(family: Family, backend: IptablesBackend): string {
  return `${programName(family)}-${backend}`
}
