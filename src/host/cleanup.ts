// What `fairlead cleanup` does: takes every trace of us from the node. First no connection is led to a pod any more,
// then the node loses its routes to others and the pods their wires, then the files go. Only what bears our mark is
// touched (docs/adr/0004): chains by name, the nftables table by its own, routes by protocol, links by kind and group.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { CommandError } from '../kernel/command-error.ts'
import { type Iptables, type IptablesBackend, programName } from '../iptables/iptables.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { openKernel } from '../kernel/linux-kernel.ts'
import { openIptables } from '../iptables/linux-iptables.ts'
import { deleteRoute } from '../kernel/route-changes.ts'
import type { Change } from '../kernel/change.ts'
import type { Family } from '../net/address.ts'
import { podRulesOwner } from '../pods/rules/owner.ts'
import { PodRules } from '../pods/rules/rules.ts'
import { Policies } from '../policy/policies.ts'
import { Services } from '../services/services.ts'
import { marker, shared } from '../services/owner.ts'
import { ownerOf, release } from '../services/ownership.ts'
import { type Directories, fileRemovals, removalCommand, removePath } from './cleanup-files.ts'
import { AccountedIptables } from './cleanup-iptables.ts'
import { AccountedKernel } from './cleanup-kernel.ts'
import { linkRemovals } from './cleanup-links.ts'
import { NodeLock, NodeTakenError } from './node-lock.ts'

export interface CleanupOptions extends Directories {
  /** Change nothing, and tell what would be. */
  readonly dryRun: boolean
  /** Remove also what the runtime needs to delete the pods that are left. */
  readonly purge: boolean
  /**
   * Leave the rules of Services as they are, for a kube-proxy that takes them over without a gap: it knows every chain
   * of them by its name.
   */
  readonly keepServices: boolean
}

export interface CleanupReport {
  readonly dryRun: boolean
  /** What was run or, in a dry run, would be. Running it again finds nothing to do. */
  readonly commands: readonly string[]
  /** What stays on purpose, and why: a sentence each. */
  readonly kept: readonly string[]
  /** What could not be removed: a sentence each. */
  readonly failures: readonly string[]
}

/**
 * A part that fails does not keep the others from being removed.
 * @throws {NodeTakenError} while an agent runs; a dry run, which changes nothing, does not mind.
 */
export async function cleanUp(options: CleanupOptions): Promise<CleanupReport> {
  const lockPath = join(options.stateDir, 'lock')
  // The cleanup's own lock is no trace of an agent: what was not there before goes without a word.
  const work = new Cleanup(options, new Set([lockPath, options.stateDir].filter((path) => !existsSync(path))))
  await using _lock = options.dryRun ? undefined : await lockOut(lockPath)
  await work.run()
  return work.report
}

async function lockOut(lockPath: string): Promise<AsyncDisposable> {
  try {
    return await NodeLock.take(lockPath)
  } catch (error) {
    if (!(error instanceof NodeTakenError)) throw error
    throw new NodeTakenError(
      `A fairlead agent runs on this node (it holds ${lockPath}) and would bring back whatever is removed: stop it first, by deleting its DaemonSet or keeping it from this node`,
      { cause: error },
    )
  }
}

class Cleanup {
  readonly #options: CleanupOptions
  /** What is done is in the report; here comes only what goes wrong on the way. */
  readonly #log = pino({ level: 'warn' }, pino.destination({ fd: 2, sync: true }))
  /** Paths that we have made ourselves. */
  readonly #own: ReadonlySet<string>
  readonly #commands: string[] = []
  readonly #kept: string[] = []
  readonly #failures: string[] = []

  constructor(options: CleanupOptions, own: ReadonlySet<string>) {
    this.#options = options
    this.#own = own
  }

  get report(): CleanupReport {
    return { dryRun: this.#options.dryRun, commands: this.#commands, kept: this.#kept, failures: this.#failures }
  }

  async run(): Promise<void> {
    await using kernel: Kernel = new AccountedKernel(openKernel({ log: this.#log }), this.#commands, this.#options)
    await this.#part(async () => {
      const iptables = this.#iptables(kernel)
      await this.#rules(kernel, iptables)
      // Rules of both backends are in force. The node's may have changed since an agent of ours chose.
      if (await leftInOther(iptables))
        await this.#rules(kernel, this.#iptables(kernel, (await iptables.backend()) === 'nft' ? 'legacy' : 'nft'))
    })
    await this.#part(async () => void (await new Policies({ kernel, log: this.#log }).clean()))
    for (const family of [4, 6] as const)
      await this.#part(async () =>
        this.#apply(
          kernel,
          (await kernel.routes(family, { ours: true })).map(({ destination, device }) =>
            deleteRoute(device === undefined ? { destination } : { destination, device }),
          ),
        ),
      )
    await this.#part(async () => {
      const { changes, kept } = linkRemovals(await kernel.links())
      await this.#apply(kernel, changes)
      this.#kept.push(...kept)
    })
    await this.#part(async () => this.#files())
    if (this.#commands.length > 0)
      this.#kept.push(
        'sysctls stay as they are (ip_forward, bridge-nf-call-iptables, send_redirects, route_localnet): what else runs on this node may count on them, and a reboot resets them',
      )
  }

  async #rules(kernel: Kernel, iptables: Iptables): Promise<void> {
    for (const family of [4, 6] as const) await this.#part(async () => this.#services(kernel, iptables, family))
    await this.#part(
      async () => void (await new PodRules({ kernel, iptables, log: this.#log, families: [4, 6] }).clean()),
    )
  }

  async #services(kernel: Kernel, iptables: Iptables, family: Family): Promise<void> {
    const program = programName(family)
    try {
      const owner = await ownerOf(iptables, family)
      if (owner === 'nobody') return
      if (owner === 'kube-proxy' || this.#options.keepServices) {
        await release(iptables, family)
        this.#kept.push(
          owner === 'kube-proxy'
            ? `the KUBE- chains of ${program} stay: a kube-proxy has taken them over (KUBE-PROXY-CANARY is there); if none runs any more, fairlead cleanup --foreign removes them`
            : `the KUBE- chains of ${program} stay, and Services with them (--keep-services): start kube-proxy, which takes them for its own`,
        )
        return
      }
      if ((await new Services({ kernel, iptables, log: this.#log, families: [family] }).clean()) === 0) return
    } catch (error) {
      // A node without ip6tables has no rules of that family.
      if (error instanceof CommandError && error.kind === 'not-installed' && family === 6) return
      throw error
    }
    if ((await iptables.rulesOf(family, 'filter', shared)) === undefined) return
    this.#kept.push(
      `${shared} (${program}) stays: kubelet has it too, and it is what keeps neighbours from 127.0.0.1 while route_localnet is on`,
    )
  }

  async #files(): Promise<void> {
    const { dryRun, purge, ...directories } = this.#options
    const { paths, kept } = await fileRemovals(directories, { purge })
    this.#kept.push(...kept)
    for (const path of paths) {
      await this.#part(async () => {
        const command = removalCommand(path)
        if (!dryRun) removePath(path)
        if (!this.#own.has(path)) this.#commands.push(command)
      })
    }
  }

  /** What is gone meanwhile, as a veth is with its pod, was to go. */
  async #apply(kernel: Kernel, changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return
    const failures = await kernel.apply(changes)
    this.#failures.push(...failures.filter(({ error }) => error.kind !== 'missing').map(({ error }) => error.message))
  }

  async #part(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#failures.push(error instanceof Error ? error.message : String(error))
    }
  }

  /** @param backend the node's own where not given */
  #iptables(kernel: Kernel, backend?: IptablesBackend): Iptables {
    const iptables = openIptables(kernel, { log: this.#log, ...(backend === undefined ? {} : { backend }) })
    return new AccountedIptables(iptables, this.#commands, this.#options)
  }
}

/** Whether the backend that this node does not use holds chains of ours. */
async function leftInOther(iptables: Iptables): Promise<boolean> {
  const places = [{ table: 'mangle', chain: marker } as const, ...podRulesOwner.chains]
  for (const family of [4, 6] as const) {
    for (const { table, chain } of places) if (await iptables.isInOtherBackend(family, table, chain)) return true
  }
  return false
}
