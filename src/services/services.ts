// Services and EndpointSlices -> the KUBE-* chains of this node, both families. What kube-proxy's iptables mode does,
// at the cost of what has changed.
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { Problem } from '../cluster/problem.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { ClusterService } from '../cluster/service.ts'
import { settleAll } from '../runtime/settle-all.ts'
import { type FlowAudit, FlowCleaner } from '../runtime/flow-cleaner.ts'
import { settleSysctls } from '../kernel/settle-sysctls.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { FamilyTables, type Render } from '../iptables/family-tables.ts'
import type { Iptables } from '../iptables/iptables.ts'
import type { Written } from '../iptables/written.ts'
import type { Address, Family } from '../net/address.ts'
import { withinAny } from '../net/cidr.ts'
import { checkedTables, DriftSchedule } from './drift-schedule.ts'
import { FamilyRules } from './family-rules.ts'
import { localAddresses, nodeFacts } from './node-facts.ts'
import { hasLocalhostNodePorts, nodePortAddresses } from './node-ports.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import { marker, markerRules, servicesOwner } from './owner.ts'
import { type RulesDiff, rulesDiff } from './rules-diff.ts'
import { SnapshotChanges } from './snapshot-changes.ts'
import { ownerOf, release, removeCanaries } from './ownership.ts'
import { baseJumps } from './static-chains.ts'
import { Standby } from './standby.ts'
import { WithdrawnStore } from './withdrawn-store.ts'

/** Told of what happens, for metrics. It must not throw. */
export interface ServicesObserver {
  /** A pass over one family has ended. `written` is undefined where it failed. */
  synced(family: Family, seconds: number, written: Written | undefined): void
  /** UDP conntrack entries of vanished endpoints have been deleted. */
  conntrackCleaned(family: Family, seconds: number, entries: number): void
  /** Chains and jumps that another program had changed. */
  repaired(family: Family, count: number): void
}

export interface SyncResult {
  /** Families whose rules are now as the snapshots say. */
  readonly families: readonly Family[]
  readonly chains: number
  readonly restores: number
  /** Claims of Services that others have. */
  readonly problems: readonly Problem[]
}

export interface FamilyStatus {
  readonly family: Family
  readonly ports: number
  readonly endpoints: number
  readonly chains: Readonly<Record<'filter' | 'nat', number>>
  readonly rules: Readonly<Record<'filter' | 'nat', number>>
  /** ms since the epoch of the last pass that went through. */
  readonly lastSyncAt: number | undefined
  /** ms from one look at every rule to the next. */
  readonly auditPeriod: number | undefined
  readonly repaired: number
  /** Where node ports answer. */
  readonly nodePortAddresses: 'all' | readonly Address[]
}

/** One address family's part. */
interface FamilyState {
  readonly family: Family
  readonly tables: FamilyTables
  readonly rules: FamilyRules
  readonly flows: FlowCleaner
  /** Undefined where nothing is to be kept on disk. */
  readonly withdrawn: WithdrawnStore | undefined
  /** Renders chains of table nat again. */
  readonly render: Render
  readonly standby: Standby
  facts: NodeFacts | undefined
  drift: DriftSchedule | undefined
  lastSyncAt: number | undefined
  repaired: number
}

/** Its async methods must not overlap. */
export class Services {
  readonly #kernel: Kernel
  readonly #iptables: Iptables
  readonly #log: Logger
  readonly #observe: ServicesObserver | undefined
  readonly #changes = new SnapshotChanges()
  #families: readonly FamilyState[]
  #options: ServicesOptions | undefined
  /** What is protected, as text. */
  #needed = ''
  #snapshots:
    | {
        services: ReadonlyMap<string, ClusterService>
        slices: ReadonlyMap<string, ClusterEndpointSlice>
        node: ClusterNode
      }
    | undefined
  #settledBackend = false
  /** Those that the sysctl was last set for. */
  #settledOptions: ServicesOptions | undefined

  /** @param parts.stateDir where to remember what a killed agent must not forget; nowhere where not given */
  constructor(parts: {
    kernel: Kernel
    iptables: Iptables
    log: Logger
    families: readonly Family[]
    observe?: ServicesObserver
    stateDir?: string
  }) {
    this.#kernel = parts.kernel
    this.#iptables = parts.iptables
    this.#log = parts.log
    this.#observe = parts.observe
    this.#families = parts.families.map((family): FamilyState => {
      const tables = new FamilyTables({ family, owner: servicesOwner, ...parts })
      tables.want('mangle', [[marker, markerRules]])
      tables.wantJumps(baseJumps)
      const rules = new FamilyRules({ target: tables, sources: this.#changes })
      const { stateDir } = parts
      const withdrawn = stateDir === undefined ? undefined : new WithdrawnStore({ ...parts, stateDir, family })
      if (withdrawn !== undefined) rules.flows.restore(withdrawn.load())
      const flows = new FlowCleaner({
        family,
        kernel: parts.kernel,
        log: parts.log,
        observe: (...cleaned) => parts.observe?.conntrackCleaned(...cleaned),
        begin: async () => this.#flowAudit(state),
      })
      const state: FamilyState = {
        family,
        tables,
        rules,
        render: (_, chains) => rules.rendered(chains),
        standby: new Standby({ ...parts, family }),
        flows,
        withdrawn,
        facts: undefined,
        drift: undefined,
        lastSyncAt: undefined,
        repaired: 0,
      }
      return state
    })
  }

  /** Takes effect with the next {@link sync}. */
  configure(options: ServicesOptions): void {
    if (!isDeepStrictEqual(options, this.#options)) this.#options = options
  }

  /** Takes effect with the next {@link sync}. @param needed what no Service gets */
  protect(needed: ProtectedPorts): void {
    if (JSON.stringify(needed) === this.#needed) return
    this.#needed = JSON.stringify(needed)
    for (const { rules } of this.#families) rules.protect(needed)
  }

  /** The cluster as it is now, for the next {@link sync}. Costs nothing: what has changed is found then. */
  update(
    services: ReadonlyMap<string, ClusterService>,
    slices: ReadonlyMap<string, ClusterEndpointSlice>,
    node: ClusterNode,
  ): void {
    this.#snapshots = { services, slices, node }
  }

  /**
   * Makes the kernel hold what the last {@link update} says; writes nothing before the first. One family that fails
   * does not keep the other from its rules.
   * @throws what the first to fail threw, {@link CommandError} as a rule; the next call makes it good.
   */
  async sync(): Promise<SyncResult> {
    const options = await this.#render(async ({ tables }) => tables.prewrite())
    if (options === undefined) return { families: [], chains: 0, restores: 0, problems: [] }
    const written = await settleAll(this.#families.map(async (family) => this.#syncFamily(family)))
    await this.#allowLocalhostNodePorts(options)
    const sum = (of: (each: Written) => number) => written.reduce((total, each) => total + of(each), 0)
    return {
      families: this.#families.map(({ family }) => family),
      chains: sum(({ chains }) => chains),
      restores: sum(({ restores }) => restores),
      problems: this.#problems,
    }
  }

  /** What {@link sync} would write, without writing it. @throws as sync does */
  async preview(): Promise<{ readonly diffs: readonly RulesDiff[]; readonly problems: readonly Problem[] }> {
    const diffs =
      (await this.#render(async () => undefined)) === undefined
        ? []
        : await Promise.all(
            this.#families.map(async ({ family, tables, render }) => rulesDiff(family, await tables.preview(render))),
          )
    return { diffs, problems: this.#problems }
  }

  /** When {@link audit} has something to do, in ms since the epoch; undefined before the first sync. */
  get auditDue(): number | undefined {
    const due = this.#families.flatMap(({ drift }) => drift?.due ?? [])
    return due.length === 0 ? undefined : Math.min(...due)
  }

  /**
   * Looks for what other programs have changed, as far as a look is due or at every rule, and mends it.
   * @returns what was repaired.
   * @throws {CommandError}
   */
  async audit({ whole = false } = {}): Promise<readonly string[]> {
    const repaired: string[] = []
    for (const state of this.#families) {
      const result = await state.drift?.run(whole)
      if (result === undefined || result.repaired.length === 0) continue
      state.repaired += result.repaired.length
      this.#observe?.repaired(state.family, result.repaired.length)
      // While rules were missing, clients have gone past their frontend.
      void state.flows.clean()
      await state.standby.restore()
      repaired.push(...result.repaired)
    }
    return repaired
  }

  /** Families whose rules are kept here. */
  get families(): readonly Family[] {
    return this.#families.map(({ family }) => family)
  }

  /**
   * Removes the rules of a family, or leaves them to a kube-proxy that has taken them over. Neither {@link sync} nor
   * {@link audit} knows the family afterwards.
   * @throws {CommandError}
   */
  async letGo(family: Family, { rules }: { rules: 'stay' | 'go' }): Promise<void> {
    const state = this.#families.find((each) => each.family === family)
    if (state === undefined) return
    if (rules === 'stay') await release(this.#iptables, family)
    else await this.#cleanFamily(state)
    await state.flows.idle()
    this.#families = this.#families.filter((each) => each !== state)
  }

  /**
   * Removes all rules of ours. Where a kube-proxy keeps the chains now, they stay.
   * @returns the number of chains
   * @throws {CommandError}
   */
  async clean(): Promise<number> {
    let removed = 0
    for (const state of this.#families) removed += await this.#cleanFamily(state)
    return removed
  }

  async #cleanFamily(state: FamilyState): Promise<number> {
    state.drift = undefined
    const owner = await ownerOf(this.#iptables, state.family)
    if (owner === 'kube-proxy') await release(this.#iptables, state.family)
    if (owner !== 'fairlead') return 0
    // A chain that a second jump leads to could not be removed.
    await state.standby.remove()
    const { chains } = await state.tables.clean()
    // Agents up to 0.1 created them.
    await removeCanaries(this.#iptables, state.family)
    return chains
  }

  status(): readonly FamilyStatus[] {
    const options = this.#options
    return this.#families.map(({ family, tables, rules, facts, drift, lastSyncAt, repaired }) => ({
      family,
      ...rules.size,
      chains: { filter: tables.size('filter'), nat: tables.size('nat') },
      rules: rules.count,
      lastSyncAt,
      auditPeriod: drift?.period,
      repaired,
      nodePortAddresses: options === undefined || facts === undefined ? [] : nodePortAddresses(options, facts),
    }))
  }

  /** Settles when no audit of UDP flows is under way any more. */
  async idle(): Promise<void> {
    await Promise.all(this.#families.map(async ({ flows }) => flows.idle()))
  }

  /** A claim of both families is told of once. */
  get #problems(): readonly Problem[] {
    return [
      ...new Map(
        this.#families.flatMap(({ rules }) => rules.problems.map((problem) => [problem.sentence, problem])),
      ).values(),
    ]
  }

  /**
   * Knows what the tables hold, and says what they should.
   * @param between called again and again while many are rendered.
   * @returns what was rendered with; undefined before there is anything to render.
   */
  async #render(between: (family: FamilyState) => Promise<void>): Promise<ServicesOptions | undefined> {
    const [options, snapshots] = [this.#options, this.#snapshots]
    if (options === undefined || snapshots === undefined) return undefined
    await this.#refuseToMix()
    const { services, slices, node } = snapshots
    const addresses = await localAddresses(this.#kernel, options)
    for (const { tables, render } of this.#families) await tables.adopt(render)
    const dirty = this.#changes.take(services, slices)
    for (const state of this.#families) {
      const facts = nodeFacts(node, state.family, addresses)
      if (!isDeepStrictEqual(facts, state.facts)) state.facts = facts
      for (const _ of state.rules.update(dirty, options, state.facts ?? facts)) await between(state)
    }
    return options
  }

  async #syncFamily(state: FamilyState): Promise<Written> {
    const begin = performance.now()
    let written: Written | undefined
    try {
      state.withdrawn?.save(state.rules.flows.withdrawn)
      written = await state.tables.sync(state.render)
      // Beside the syncs: rules must not wait for a walk through the conntrack table.
      if (state.rules.flows.inForce()) void state.flows.clean()
      state.lastSyncAt = Date.now()
      const syncCost = performance.now() - begin
      // The chains are ours now, whichever program wrote them before.
      if (state.drift === undefined) await removeCanaries(this.#iptables, state.family)
      state.drift ??= new DriftSchedule({ tables: checkedTables(state, this.#iptables), now: Date.now, syncCost })
      await state.standby.raise()
      return written
    } finally {
      this.#observe?.synced(state.family, (performance.now() - begin) / 1000, written)
    }
  }

  /** The questions of one walk through the conntrack table. */
  async #flowAudit({ family, rules, facts, withdrawn }: FamilyState): Promise<FlowAudit | undefined> {
    const options = this.#options
    if (options === undefined || facts === undefined || rules.flows.isIdle) return undefined
    const isLocal = rules.flows.hasNodePorts ? withinAny(await this.#kernel.localNetworks(family)) : () => false
    const { judge, done } = rules.flows.audit({ options, node: facts, isLocal })
    return {
      judge,
      done: (succeeded) => {
        done(succeeded)
        withdrawn?.save(rules.flows.withdrawn)
      },
    }
  }

  /**
   * A packet from 127.0.0.1 may leave through an interface only with route_localnet. The rule that keeps neighbours
   * from using it stands by now.
   */
  async #allowLocalhostNodePorts(options: ServicesOptions): Promise<void> {
    if (options === this.#settledOptions) return
    const key = 'net/ipv4/conf/all/route_localnet'
    const wanted = this.#families.some(({ family }) => hasLocalhostNodePorts(options, family))
    const problems = wanted ? await settleSysctls(this.#kernel, [{ key, value: '1' }]) : []
    // No Service is worse off for it than by node ports on 127.0.0.1.
    for (const { sentence } of problems)
      this.#log.warn(`Node ports do not work on 127.0.0.1: ${sentence}, or set localhostNodePorts to false`)
    this.#settledOptions = options
  }

  /**
   * Rules in both backends are both in force, and nobody could say which endpoint a connection gets.
   * @throws {Error}
   */
  async #refuseToMix(): Promise<void> {
    if (this.#settledBackend) return
    const backend = await this.#iptables.backend()
    for (const { family } of this.#families) {
      if (!(await this.#iptables.isInOtherBackend(family, 'nat', 'KUBE-SERVICES'))) continue
      const [here, there] = backend === 'nft' ? ['nft', 'legacy'] : ['legacy', 'nft']
      throw new Error(
        `Service rules of another kube-proxy are in iptables-${there}, while this node uses iptables-${here}: remove them with \`kube-proxy --cleanup\` there, or restart the node`,
      )
    }
    this.#settledBackend = true
    this.#log.info({ backend }, 'service rules go to this iptables backend')
  }
}
