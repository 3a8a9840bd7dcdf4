// A Kernel that lists its changes as commands that a person could paste. In a dry run it only lists them, so a dry run
// takes the same path as a real one.
import type { Change } from '../kernel/change.ts'
import type { Failure, Kernel } from '../kernel/kernel.ts'
import type { NamespaceShell } from '../kernel/namespace-shell.ts'
import type { AroundWrite, NftObject } from '../kernel/nftables.ts'
import type { FdbEntry, FixedNeighbour, Link, NamespaceState, Neighbour, Route } from '../kernel/observed.ts'
import { quoteWord } from '../kernel/shell-words.ts'
import { txChecksumCommand } from '../kernel/tx-checksum.ts'
import type { UdpFlow, UdpFlowFilter } from '../kernel/udp-flow.ts'
import type { Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
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

  get shell(): NamespaceShell {
    return this.#kernel.shell
  }

  aroundNft(wrap: AroundWrite): void {
    this.#kernel.aroundNft(wrap)
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
  async deleteUdpFlows(family: Family, filters: readonly UdpFlowFilter[]): Promise<number> {
    return this.#dryRun ? 0 : this.#kernel.deleteUdpFlows(family, filters)
  }

  async readUdpFlows(family: Family, seen: (flow: UdpFlow) => void): Promise<void> {
    await this.#kernel.readUdpFlows(family, seen)
  }

  async localNetworks(family: Family): Promise<readonly Cidr[]> {
    return this.#kernel.localNetworks(family)
  }

  async links(): Promise<readonly Link[]> {
    return this.#kernel.links()
  }

  async linksIn(netns: string): Promise<readonly Link[]> {
    return this.#kernel.linksIn(netns)
  }

  async stateIn(netns: string, families: readonly Family[]): Promise<NamespaceState> {
    return this.#kernel.stateIn(netns, families)
  }

  async namespacePaths(): Promise<ReadonlyMap<number, string>> {
    return this.#kernel.namespacePaths()
  }

  async routes(family: Family, filter?: { ours?: boolean; device?: InterfaceName }): Promise<readonly Route[]> {
    return this.#kernel.routes(family, filter)
  }

  async neighbours(family: Family, device: InterfaceName): Promise<readonly Neighbour[]> {
    return this.#kernel.neighbours(family, device)
  }

  async fixedNeighbours(device: InterfaceName): Promise<readonly FixedNeighbour[]> {
    return this.#kernel.fixedNeighbours(device)
  }

  async fdb(device: InterfaceName): Promise<readonly FdbEntry[]> {
    return this.#kernel.fdb(device)
  }

  async readSysctl(key: string): Promise<string | undefined> {
    return this.#kernel.readSysctl(key)
  }

  onChange(listener: () => void): void {
    this.#kernel.onChange(listener)
  }

  onNamespaceChange(listener: (namespace: number | undefined) => void): void {
    this.#kernel.onNamespaceChange(listener)
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
