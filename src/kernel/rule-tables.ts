// iptables and nftables of one network namespace, as {@link Kernel} has them.
import type { Logger } from 'pino'
import type { Family } from '../net/address.ts'
import type { CommandObserver } from './command-observer.ts'
import { ForeignWrites } from './foreign-writes.ts'
import { chooseBackend, hasRules, isInOtherBackend, restoreRules, rulesOfChain } from './iptables.ts'
import { readTableLines } from './iptables-save.ts'
import type { IptablesBackend, IptablesTable, TableRule } from './kernel.ts'
import { applyNft, listNft, type NftObject } from './nftables.ts'
import { RulesetWatch } from './ruleset-watch.ts'
import type { ShellCommandOptions } from './shell-command.ts'
import type { ShellWorkers } from './shell-workers.ts'

export interface RuleTablesOptions {
  /** What leads a command into the namespace. */
  readonly enter: readonly string[]
  /** For commands of a few ms. */
  readonly quick: ShellWorkers
  /** For those that walk whole tables. */
  readonly slow: ShellWorkers
  readonly log: Logger
  readonly observe: CommandObserver | undefined
  /** Where not given, the one that the namespace already uses. */
  readonly backend: IptablesBackend | undefined
}

export class RuleTables implements AsyncDisposable {
  readonly #options: RuleTablesOptions
  readonly #foreignWrites: ForeignWrites
  #rulesetWatch: RulesetWatch | undefined
  #backend: Promise<IptablesBackend> | undefined

  constructor(options: RuleTablesOptions) {
    const { enter, quick, log, backend } = options
    this.#options = options
    this.#foreignWrites = new ForeignWrites({ workers: quick, enter, backend: async () => this.backend(), log })
    if (backend !== undefined) this.#backend = Promise.resolve(backend)
  }

  async restore(family: Family, text: string): Promise<void> {
    const { enter, quick, log } = this.#options
    const backend = await this.backend()
    await this.#observed(`iptables-${backend}-restore`, async () =>
      this.#foreignWrites.apartFrom(async () => restoreRules(quick, backend, family, text, enter)),
    )
    log.debug(
      { input: text },
      `${[...enter, family === 4 ? 'iptables' : 'ip6tables'].join(' ')}-${backend}-restore --noflush -w 5`,
    )
  }

  async rulesOf(
    family: Family,
    table: IptablesTable,
    chain: string,
    counters: boolean,
  ): Promise<readonly string[] | undefined> {
    return rulesOfChain(this.#options.slow, await this.backend(), family, { table, chain, counters }, this.#inside)
  }

  async readTable(family: Family, table: IptablesTable, seen: (line: string) => void): Promise<void> {
    const { enter, observe } = this.#options
    const backend = await this.backend()
    const begin = performance.now()
    await readTableLines({ backend, family, table, enter, seen })
    observe?.command(`iptables-${backend}-save`, (performance.now() - begin) / 1000, true)
  }

  async isInOtherBackend(family: Family, table: IptablesTable, chain: string): Promise<boolean> {
    return isInOtherBackend(this.#options.slow, await this.backend(), { family, table, chain }, this.#inside)
  }

  async hasRules(family: Family, rules: readonly TableRule[]): Promise<boolean> {
    return hasRules(this.#options.slow, await this.backend(), family, rules, this.#inside)
  }

  async foreignWrites(): Promise<number | undefined> {
    return this.#foreignWrites.count()
  }

  async backend(): Promise<IptablesBackend> {
    this.#backend ??= chooseBackend(this.#options.slow, this.#inside).catch((error: unknown) => {
      this.#backend = undefined
      throw error
    })
    return this.#backend
  }

  async applyNft(text: string): Promise<void> {
    const { enter, quick, log } = this.#options
    const transact = async (): Promise<void> => this.#foreignWrites.apartFrom(async () => applyNft(quick, text, enter))
    await this.#observed('nft', async () => this.#rulesetWatch?.ours(transact) ?? transact())
    log.debug({ input: text }, [...enter, 'nft -f -'].join(' '))
  }

  async listNft(what: string): Promise<readonly NftObject[] | undefined> {
    return listNft(this.#options.slow, what, this.#inside)
  }

  onRulesetChange(listener: () => void): () => boolean {
    const { enter, log } = this.#options
    const watch = new RulesetWatch({ enter, log, changed: listener })
    this.#rulesetWatch = watch
    return () => watch.works
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rulesetWatch?.[Symbol.asyncDispose]()
  }

  async #observed(command: string, write: () => Promise<void>): Promise<void> {
    const begin = performance.now()
    let ok = false
    try {
      await write()
      ok = true
    } finally {
      this.#options.observe?.command(command, (performance.now() - begin) / 1000, ok)
    }
  }

  get #inside(): ShellCommandOptions {
    const { enter, observe } = this.#options
    return { enter, observe }
  }
}
