// A kernel that keeps account of what it is told to change, as commands that a person could paste; in a dry run that is
// all it does with it. So a dry run goes the very way of the real one, and cannot tell anything else.
import type { Change } from '../kernel/change.ts'
import type { ConntrackFilter } from '../kernel/conntrack.ts'
import type { Failure, IptablesBackend, IptablesTable, Kernel, TableRule } from '../kernel/kernel.ts'
import type { NftObject } from '../kernel/nftables.ts'
import type { FdbEntry, Link, Neighbour, Route } from '../kernel/observed.ts'
import { quoteWord } from '../kernel/shell-words.ts'
import { txChecksumCommand } from '../kernel/tx-checksum.ts'
import type { Family } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'

export class AccountedKernel implements Kernel {
  readonly #kernel: Kernel
  readonly #dryRun: boolean
  readonly #commands: string[]

  /** @param commands takes each command when it has succeeded, or in a dry run would be run */
  constructor(kernel: Kernel, commands: string[], { dryRun }: { dryRun: boolean }) {
    this.#kernel = kernel
    this.#dryRun = dryRun
    this.#commands = commands
  }

  async apply(changes: readonly Change[]): Promise<readonly Failure[]> {
    return this.#changing(changes, async () => this.#kernel.apply(changes))
  }

  async applyIn(netns: string, changes: readonly Change[]): Promise<readonly Failure[]> {
    return this.#changing(changes, async () => this.#kernel.applyIn(netns, changes))
  }

  async writeSysctl(key: string, value: string): Promise<void> {
    if (!this.#dryRun) await this.#kernel.writeSysctl(key, value)
    this.#commands.push(`sysctl -w ${key}=${value}`)
  }

  async txChecksum(device: InterfaceName): Promise<boolean | undefined> {
    return this.#kernel.txChecksum(device)
  }

  async setTxChecksum(device: InterfaceName, on: boolean): Promise<void> {
    if (!this.#dryRun) await this.#kernel.setTxChecksum(device, on)
    this.#commands.push(txChecksumCommand(device, on).join(' '))
  }

  async restoreRules(family: Family, text: string): Promise<void> {
    const backend = await this.#kernel.iptablesBackend()
    if (!this.#dryRun) await this.#kernel.restoreRules(family, text)
    this.#commands.push(...restoreCommands(`${family === 4 ? 'iptables' : 'ip6tables'}-${backend}`, text))
  }

  async applyNft(text: string): Promise<void> {
    if (!this.#dryRun) await this.#kernel.applyNft(text)
    this.#commands.push(
      ...text
        .trimEnd()
        .split('\n')
        .map((line) => `nft ${quoteWord(line)}`),
    )
  }

  async listNft(what: string): Promise<readonly NftObject[] | undefined> {
    return this.#kernel.listNft(what)
  }

  /** Not accounted for: entries end by themselves. */
  async deleteUdpConntrack(family: Family, filter: ConntrackFilter): Promise<number> {
    return this.#dryRun ? 0 : this.#kernel.deleteUdpConntrack(family, filter)
  }

  async links(): Promise<readonly Link[]> {
    return this.#kernel.links()
  }

  async linksIn(netns: string): Promise<readonly Link[]> {
    return this.#kernel.linksIn(netns)
  }

  async routes(family: Family, filter?: { ours?: boolean; device?: InterfaceName }): Promise<readonly Route[]> {
    return this.#kernel.routes(family, filter)
  }

  async routesIn(netns: string, family: Family): Promise<readonly Route[]> {
    return this.#kernel.routesIn(netns, family)
  }

  async neighbours(family: Family, device: InterfaceName): Promise<readonly Neighbour[]> {
    return this.#kernel.neighbours(family, device)
  }

  async fdb(device: InterfaceName): Promise<readonly FdbEntry[]> {
    return this.#kernel.fdb(device)
  }

  async readSysctl(key: string): Promise<string | undefined> {
    return this.#kernel.readSysctl(key)
  }

  async rulesOf(
    family: Family,
    table: IptablesTable,
    chain: string,
    options?: { counters?: boolean },
  ): Promise<readonly string[] | undefined> {
    return this.#kernel.rulesOf(family, table, chain, options)
  }

  async hasRules(family: Family, rules: readonly TableRule[]): Promise<boolean> {
    return this.#kernel.hasRules(family, rules)
  }

  async foreignWrites(): Promise<number | undefined> {
    return this.#kernel.foreignWrites()
  }

  async readTable(family: Family, table: IptablesTable, seen: (line: string) => void): Promise<void> {
    await this.#kernel.readTable(family, table, seen)
  }

  async isInOtherBackend(family: Family, table: IptablesTable, chain: string): Promise<boolean> {
    return this.#kernel.isInOtherBackend(family, table, chain)
  }

  async iptablesBackend(): Promise<IptablesBackend> {
    return this.#kernel.iptablesBackend()
  }

  onChange(listener: () => void): void {
    this.#kernel.onChange(listener)
  }

  onRulesetChange(listener: () => void): () => boolean {
    return this.#kernel.onRulesetChange(listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kernel[Symbol.asyncDispose]()
  }

  async #changing(changes: readonly Change[], apply: () => Promise<readonly Failure[]>): Promise<readonly Failure[]> {
    const failures = this.#dryRun ? [] : await apply()
    const failed = new Set(failures.map(({ change }) => change))
    this.#commands.push(...changes.filter((change) => !failed.has(change)).map(({ tool, line }) => `${tool} ${line}`))
    return failures
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
