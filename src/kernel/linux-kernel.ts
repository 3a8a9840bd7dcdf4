// The Kernel that is one: iproute2, nftables and /proc/sys, in our own network namespace or another one.
import type { Logger } from 'pino'
import type { Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { applyOnce, type BatchOnceOptions } from './batch-once.ts'
import { BatchSession } from './batch-session.ts'
import { type Change, runsOfOneTool, type Tool } from './change.ts'
import type { CommandObserver } from './command-observer.ts'
import { deleteUdpFlows, readUdpFlows } from './conntrack.ts'
import type { Failure, Kernel } from './kernel.ts'
import { safePath } from './link-changes.ts'
import { Monitor } from './monitor.ts'
import { NamespaceMonitor } from './namespace-monitor.ts'
import type { NamespaceShell } from './namespace-shell.ts'
import { type AroundWrite, type NftObject, Nftables } from './nftables.ts'
import type { FdbEntry, FixedNeighbour, Link, NamespaceState, Neighbour, Route } from './observed.ts'
import { readFdb } from './read-fdb.ts'
import type { Answers, Reader } from './read-json.ts'
import { readLinks } from './read-links.ts'
import { readNamespaceState } from './read-namespace-state.ts'
import { readNamespacePaths } from './read-namespaces.ts'
import { readFixedNeighbours, readNeighbours } from './read-neighbours.ts'
import { readLocalNetworks, readRoutes } from './read-routes.ts'
import type { ShellCommandOptions } from './shell-command.ts'
import { ShellWorkers } from './shell-workers.ts'
import { applyDespiteStaleNames } from './stale-names.ts'
import { readOwnSysctl, readSysctlInside, writeOwnSysctl, writeSysctlInside } from './sysctl.ts'
import { logVersions } from './tool-versions.ts'
import { readTxChecksum, txChecksumCommand, writeTxChecksum } from './tx-checksum.ts'
import type { UdpFlow, UdpFlowFilter } from './udp-flow.ts'

export interface KernelOptions {
  /** Path of the network namespace; ours where not given. */
  readonly netns?: string
  readonly log: Logger
  readonly observe?: CommandObserver
}

/** Costs nothing until it is used: sessions, shells and monitors start when they are first needed. */
export function openKernel(options: KernelOptions): Kernel {
  return new LinuxKernel(options)
}

class LinuxKernel implements Kernel {
  readonly #log: Logger
  readonly #observe: CommandObserver | undefined
  /** What leads a command into the namespace. */
  readonly #enter: readonly string[]
  readonly #sessions: Readonly<Record<Tool, BatchSession>>
  /** For commands of a few ms: a pod's ADD waits for them. */
  readonly #quick = new ShellWorkers(2)
  /** For those that walk whole tables. */
  readonly #slow = new ShellWorkers(1)
  readonly #nftables: Nftables
  readonly shell: NamespaceShell
  readonly #answers: Answers = new Map()
  readonly #listeners: (() => void)[] = []
  readonly #namespaceListeners: ((namespace: number | undefined) => void)[] = []
  #monitor: Monitor | undefined
  #namespaceMonitor: NamespaceMonitor | undefined
  #renewal: NodeJS.Timeout | undefined

  constructor(options: KernelOptions) {
    this.#log = options.log
    this.#observe = options.observe
    this.#enter = options.netns === undefined ? [] : enterPath(options.netns)
    const session = (tool: Tool) =>
      new BatchSession({ tool, enter: this.#enter, log: this.#log, observe: this.#observe })
    this.#sessions = { ip: session('ip'), bridge: session('bridge'), tc: session('tc') }
    this.shell = {
      enter: this.#enter,
      quick: this.#quick,
      slow: this.#slow,
      log: this.#log,
      observe: this.#observe,
    }
    this.#nftables = new Nftables(this.shell)
    if (options.netns === undefined && this.#log.isLevelEnabled('info')) void logVersions(this.#slow, this.#log)
  }

  async apply(changes: readonly Change[]): Promise<readonly Failure[]> {
    const once = this.#once(this.#enter)
    if (changes.some(({ line }) => line.includes(' netns '))) this.#letGoOfNamespaces()
    return this.#inRuns(changes, async (tool, run) =>
      applyDespiteStaleNames(this.#sessions[tool], run, async (doubtful) => applyOnce(tool, doubtful, once)),
    )
  }

  async applyIn(netns: string, changes: readonly Change[]): Promise<readonly Failure[]> {
    const once = this.#once(enterPath(netns))
    return this.#inRuns(changes, async (tool, run) => applyOnce(tool, run, once))
  }

  async links(): Promise<readonly Link[]> {
    return readLinks(this.#reader())
  }

  async linksIn(netns: string): Promise<readonly Link[]> {
    return readLinks(this.#readerIn(netns))
  }

  async stateIn(netns: string, families: readonly Family[]): Promise<NamespaceState> {
    return readNamespaceState(this.#readerIn(netns), families)
  }

  async namespacePaths(): Promise<ReadonlyMap<number, string>> {
    return readNamespacePaths(this.#reader())
  }

  async routes(family: Family, filter?: { ours?: boolean; device?: InterfaceName }): Promise<readonly Route[]> {
    return readRoutes(this.#reader(), family, filter)
  }

  async neighbours(family: Family, device: InterfaceName): Promise<readonly Neighbour[]> {
    return readNeighbours(this.#reader(), family, device)
  }

  async fixedNeighbours(device: InterfaceName): Promise<readonly FixedNeighbour[]> {
    return readFixedNeighbours(this.#reader(), device)
  }

  async fdb(device: InterfaceName): Promise<readonly FdbEntry[]> {
    return readFdb(this.#reader(), device)
  }

  async txChecksum(device: InterfaceName): Promise<boolean | undefined> {
    return readTxChecksum(this.#quick, device, this.#inside())
  }

  async setTxChecksum(device: InterfaceName, on: boolean): Promise<void> {
    await writeTxChecksum(this.#quick, device, on, this.#inside())
    this.#log.debug([...this.#enter, ...txChecksumCommand(device, on)].join(' '))
  }

  async readSysctl(key: string): Promise<string | undefined> {
    return this.#enter.length === 0 ? readOwnSysctl(key) : readSysctlInside(this.#quick, key, this.#inside())
  }

  async writeSysctl(key: string, value: string): Promise<void> {
    if (this.#enter.length === 0) await writeOwnSysctl(key, value)
    else await writeSysctlInside(this.#quick, key, value, this.#inside())
    this.#log.debug(`${this.#enter.map((word) => `${word} `).join('')}sysctl -w ${key}=${value}`)
  }

  async applyNft(text: string): Promise<void> {
    await this.#nftables.apply(text)
  }

  async listNft(what: string): Promise<readonly NftObject[] | undefined> {
    return this.#nftables.list(what)
  }

  aroundNft(wrap: AroundWrite): void {
    this.#nftables.around(wrap)
  }

  onRulesetChange(listener: () => void): () => boolean {
    return this.#nftables.onChange(listener)
  }

  async readUdpFlows(family: Family, seen: (flow: UdpFlow) => void): Promise<void> {
    await readUdpFlows(this.#slow, family, seen, this.#inside())
  }

  async deleteUdpFlows(family: Family, filters: readonly UdpFlowFilter[]): Promise<number> {
    return deleteUdpFlows(this.#slow, family, filters, { ...this.#inside(), log: this.#log })
  }

  async localNetworks(family: Family): Promise<readonly Cidr[]> {
    return readLocalNetworks(this.#reader(), family)
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
    this.#monitor ??= new Monitor({
      enter: this.#enter,
      log: this.#log,
      changed: () => {
        for (const each of this.#listeners) each()
      },
    })
  }

  onNamespaceChange(listener: (namespace: number | undefined) => void): void {
    this.#namespaceListeners.push(listener)
    this.#namespaceMonitor ??= new NamespaceMonitor({
      enter: this.#enter,
      log: this.#log,
      changed: (namespace) => {
        for (const each of this.#namespaceListeners) each(namespace)
      },
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#renewal)
    const parts: AsyncDisposable[] = [...Object.values(this.#sessions), this.#nftables, this.#quick, this.#slow]
    if (this.#monitor !== undefined) parts.push(this.#monitor)
    if (this.#namespaceMonitor !== undefined) parts.push(this.#namespaceMonitor)
    await Promise.all(parts.map(async (part) => part[Symbol.asyncDispose]()))
  }

  /** Gives each run of changes for one tool to `apply`, in order. */
  async #inRuns(
    changes: readonly Change[],
    apply: (tool: Tool, run: readonly Change[]) => Promise<readonly Failure[]>,
  ): Promise<readonly Failure[]> {
    const failures: Failure[] = []
    for (const { tool, run } of runsOfOneTool(changes)) failures.push(...(await apply(tool, run)))
    // Whether that is normal, as the deletion of what is gone already, the caller alone can tell.
    for (const { error } of failures) this.#log.debug({ kind: error.kind }, error.message)
    return failures
  }

  /**
   * iproute2 before 6.4 never closes what `netns PATH` has opened (measured with 6.1): the session would keep the
   * namespace of a pod that is gone, and with it the pod's veth, for as long as it runs. So it is renewed soon after,
   * and not at once: the next pod's line should meet a running one.
   */
  #letGoOfNamespaces(): void {
    this.#renewal ??= setTimeout(() => {
      this.#renewal = undefined
      this.#sessions.ip.renew()
    }, 500).unref()
  }

  #once(enter: readonly string[]): BatchOnceOptions {
    return { workers: this.#quick, enter, log: this.#log, observe: this.#observe }
  }

  #reader(): Reader {
    return { workers: this.#quick, options: this.#inside(), answers: this.#answers }
  }

  #readerIn(netns: string): Reader {
    return { workers: this.#quick, options: this.#inside(enterPath(netns)) }
  }

  #inside(enter = this.#enter): ShellCommandOptions {
    return { enter, observe: this.#observe }
  }
}

function enterPath(netns: string): readonly string[] {
  return ['nsenter', `--net=${safePath(netns)}`]
}
