// An Iptables that lists its changes as commands that a person could paste. In a dry run it only lists them, so a dry run
// takes the same path as a real one.
import {
  backendProgram,
  type Iptables,
  type IptablesBackend,
  type IptablesTable,
  type TableRule,
} from '../iptables/iptables.ts'
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

/**
 * Text for iptables-restore as one command a line: `:CHAIN`, which empties a chain there, is -F. Order is kept, so they
 * can be run one after the other.
 */
export function restoreCommands(program: string, text: string): string[] {
  let table = ''
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1)
    if (line === '' || line === 'COMMIT' || line.startsWith('*')) return []
    const emptied = /^:(\S+)/.exec(line)?.[1]
    // Within the double quotes that the tools write, these two mean something to a shell.
    return [
      `${program} -t ${table} ${emptied === undefined ? line.replaceAll(/[$`]/g, String.raw`\$&`) : `-F ${emptied}`}`,
    ]
  })
}
