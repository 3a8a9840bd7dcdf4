// An Iptables that lists its changes as commands that a person could paste. In a dry run it only lists them, so a dry run
// takes the same path as a real one.
import {
  backendProgram,
  type Iptables,
  type IptablesBackend,
  type IptablesTable,
  type TableRule,
} from '../iptables/iptables.ts'
import { restoreCommands } from '../iptables/restore-text.ts'
import type { Family } from '../net/address.ts'

export class AccountedIptables implements Iptables {
  readonly #iptables: Iptables
  readonly #dryRun: boolean
  readonly #commands: string[]

  /** @param commands receives each command when it has succeeded, or in a dry run would run */
  constructor(iptables: Iptables, commands: string[], { dryRun }: { dryRun: boolean }) {
    this.#iptables = iptables
    this.#dryRun = dryRun
    this.#commands = commands
  }

  async restore(family: Family, text: string): Promise<void> {
    const backend = await this.#iptables.backend()
    if (!this.#dryRun) await this.#iptables.restore(family, text)
    this.#commands.push(...restoreCommands(backendProgram(family, backend), text))
  }

  async backend(): Promise<IptablesBackend> {
    return this.#iptables.backend()
  }

  async rulesOf(
    family: Family,
    table: IptablesTable,
    chain: string,
    options?: { counters?: boolean },
  ): Promise<readonly string[] | undefined> {
    return this.#iptables.rulesOf(family, table, chain, options)
  }

  async readTable(family: Family, table: IptablesTable, seen: (line: string) => void): Promise<void> {
    await this.#iptables.readTable(family, table, seen)
  }

  async hasRules(family: Family, rules: readonly TableRule[]): Promise<boolean> {
    return this.#iptables.hasRules(family, rules)
  }

  async foreignWrites(): Promise<number | undefined> {
    return this.#iptables.foreignWrites()
  }

  async isInOtherBackend(family: Family, table: IptablesTable, chain: string): Promise<boolean> {
    return this.#iptables.isInOtherBackend(family, table, chain)
  }
}
