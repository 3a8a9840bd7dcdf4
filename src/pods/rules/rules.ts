// The iptables side of the pod network: egress, forwarding and host ports. Called by ADD and DEL for host ports, and by
// the agent's passes for all.
import type { Logger } from 'pino'
import type { Problem } from '../../cluster/problem.ts'
import type { Address, Family } from '../../net/address.ts'
import { type Audited, FamilyTables, type Render } from '../../iptables/family-tables.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import { nothingWritten } from '../../iptables/written.ts'
import { CommandError } from '../../kernel/command-error.ts'
import { withinAny } from '../../net/cidr.ts'
import { type FlowAudit, FlowCleaner } from '../../runtime/flow-cleaner.ts'
import { Mutex } from '../../runtime/mutex.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { settleAll } from '../../runtime/settle-all.ts'
import type { Attachment, PortMapping } from '../attachment.ts'
import type { HostPortHook } from '../hooks.ts'
import { desiredRules } from './desired.ts'
import { HostPortClaims, HostPortTakenError } from './host-port-claims.ts'
import { hostPortJudge, parseHostPortRule, WithdrawnLeads } from './host-port-flows.ts'
import { hostPortLeads, publishedLeads, refusedHostPorts } from './host-ports.ts'
import { publishedPorts } from './published-ports.ts'
import { podRulesOwner } from './owner.ts'
import { noRules, ofFamily, type RuleSet, type RulesInput } from './rule-set.ts'

/** What the rules depend on besides the attachments; CIDRs of both families together. */
export type RulesSettings = Omit<RulesInput, 'family' | 'attachments'>

export interface RulesResult {
  /** Runs of iptables-restore; none where all was as it should be. */
  readonly restores: number
  /** Chains and jumps that were not as we had left them. */
  readonly repaired: readonly string[]
}

/** One address family's part. */
interface FamilyState {
  readonly family: Family
  readonly tables: FamilyTables
  /** Serialises the use of the tables. */
  readonly mutex: Mutex
  readonly flows: FlowCleaner
  /** Host ports whose rules are gone and whose flows may not have ended yet. */
  readonly withdrawn: WithdrawnLeads
}

export class PodRules implements HostPortHook {
  readonly #kernel: Pick<Kernel, 'readUdpFlows' | 'deleteUdpFlows' | 'localNetworks'>
  readonly #iptables: Iptables
  readonly #log: Logger
  readonly #families: readonly FamilyState[]
  readonly #claims = new HostPortClaims()
  /** Keys of removed attachments that a list given to {@link reconcile} may still hold. */
  readonly #removed = new Set<string>()
  readonly #firstPass = Promise.withResolvers<void>()
  /** As given to {@link configure}. */
  #configured: RulesSettings | undefined
  /**
   * In force: set with the first list of attachments and not before it, since what is not known to exist is removed.
   */
  #settings: RulesSettings | undefined
  /** How often others had written when the rules were last found whole. */
  #wholeAt: number | undefined

  constructor(parts: {
    kernel: Pick<Kernel, 'readUdpFlows' | 'deleteUdpFlows' | 'localNetworks'>
    iptables: Iptables
    log: Logger
    families: readonly Family[]
  }) {
    this.#kernel = parts.kernel
    this.#iptables = parts.iptables
    this.#log = parts.log
    this.#families = parts.families.map((family) => {
      const withdrawn = new WithdrawnLeads()
      const flows = new FlowCleaner({ ...parts, family, begin: async () => this.#audit(family, withdrawn) })
      const tables = new FamilyTables({ ...parts, family, owner: podRulesOwner })
      return { family, tables, mutex: new Mutex(), flows, withdrawn }
    })
  }

  get settled(): Promise<void> {
    return this.#firstPass.promise
  }

  /** Takes effect with the next {@link reconcile}. */
  configure(settings: RulesSettings): void {
    this.#configured = settings
  }

  /** Host ports of pods that are not published, since the node needs them. */
  get problems(): readonly Problem[] {
    return this.#settings === undefined ? [] : refusedHostPorts(this.#claims.holders, this.#settings.needed)
  }

  /**
   * Compares what iptables holds with what it should hold and writes what differs. Does nothing before {@link
   * configure}.
   * @param attachments all that exist: those from before a restart get their ports back, or keep them. One whose ADD is
   * under way need not be among them.
   * @throws {CommandError}
   */
  async reconcile(attachments: readonly Attachment[]): Promise<RulesResult> {
    this.#adopt(attachments)
    // The first one asks about all flows: the agent before this one may have been killed at any point.
    const scopeChanged = this.#settings?.localhostHostPorts !== this.#configured?.localhostHostPorts
    this.#settings = this.#configured
    if (this.#settings === undefined) return { restores: 0, repaired: [] }
    try {
      const audits = await this.#everyFamily(async ({ family, tables, mutex, flows, withdrawn }) => {
        const audited = await mutex.run(async () => auditFor(tables, this.#desired(family)))
        withdrawn.add(audited.stray.flatMap((rule) => parseHostPortRule(family, rule) ?? []))
        // While rules were missing, clients have gone past their host port.
        if (scopeChanged || withdrawn.size > 0 || audited.written.restores > 0) await flows.clean()
        return audited
      })
      return total(audits)
    } finally {
      this.#firstPass.resolve()
    }
  }

  /**
   * Whether no flush has taken rules away since we wrote them: a few ms of CPU, and less where nobody else has written;
   * for a look every other second.
   * @throws {CommandError}
   */
  async intact(): Promise<boolean> {
    const writes = await this.#iptables.foreignWrites()
    if (writes !== undefined && writes === this.#wholeAt) return true
    const whole = (await this.#everyFamily(({ tables, mutex }) => mutex.run(() => tables.probe()))).every(Boolean)
    this.#wholeAt = whole ? writes : undefined
    return whole
  }

  /**
   * Before the first {@link reconcile} the ports are only taken, and work from then on.
   * @throws {HostPortTakenError} where another pod has one of them. @throws {CommandError}
   */
  async add(attachment: Attachment): Promise<void> {
    this.#removed.delete(attachment.hostInterface)
    const replaced = this.#claims.claim(attachment)
    try {
      await this.#update()
    } catch (error) {
      this.#claims.release(attachment)
      throw error
    }
    await this.#endFlows([...replaced, attachment], replaced)
  }

  /**
   * Withdraws the ports of attachments. When it resolves their flows have ended too, and the addresses may be given to
   * other pods.
   * @throws {CommandError}
   */
  async remove(attachments: readonly Attachment[]): Promise<void> {
    for (const attachment of attachments) {
      this.#removed.add(attachment.hostInterface)
      this.#claims.release(attachment)
    }
    // Also where none was held: a removal that failed before is made good, and with nothing to do nothing is started.
    await this.#update()
    await this.#endFlows(attachments, attachments)
  }

  /** @throws {CommandError} */
  async published(): Promise<ReadonlyMap<Address, readonly PortMapping[]>> {
    return publishedPorts(
      this.#iptables,
      this.#families.map(({ family }) => family),
    )
  }

  /**
   * Removes every chain and jump of ours; {@link configure} and {@link reconcile} bring them back.
   * @throws {CommandError}
   */
  async clean(): Promise<RulesResult> {
    this.#configured = undefined
    this.#settings = undefined
    return total(await this.#everyFamily(({ tables, mutex }) => mutex.run(() => auditFor(tables, noRules))))
  }

  /**
   * Of the requests that come while a restore runs, the first to have its turn writes for all; the others then find
   * nothing left to do.
   */
  async #update(): Promise<void> {
    await this.#everyFamily(async (state) =>
      state.mutex.run(async () => {
        if (this.#settings !== undefined) await this.#write(state)
      }),
    )
  }

  /**
   * Writes what is desired without reading the kernel, since a pod waits. Where the kernel refuses it, something is not as
   * we had left it: then all is read.
   */
  async #write({ family, tables }: FamilyState): Promise<void> {
    const desired = this.#desired(family)
    if (!tables.isRead) {
      await auditFor(tables, desired)
      return
    }
    wantChains(tables, desired)
    try {
      // With the same jumps as before: they change with the configuration, which a reconcile follows.
      await tables.sync(renderNothing)
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      this.#log.warn({ family, stderr: error.stderr }, 'iptables rules are not as we had left them: reading them all')
      await auditFor(tables, desired)
    }
  }

  /**
   * Ends the flows that no longer follow the host ports of these attachments. That it cannot is no reason to fail an ADD
   * or a DEL: it is tried again, and a freed address rests.
   * @param changed attachments whose ports came or went; their rules are in force or gone
   * @param gone those of them whose ports went
   */
  async #endFlows(changed: readonly Attachment[], gone: readonly Attachment[]): Promise<void> {
    await this.#everyFamily(async ({ family, flows, withdrawn }) => {
      const leads = changed.flatMap((attachment) => hostPortLeads(family, attachment))
      if (!leads.some(({ protocol }) => protocol === 'udp')) return
      withdrawn.add(gone.flatMap((attachment) => hostPortLeads(family, attachment)))
      // Before the first reconcile no rule has been written or removed; that one cleans.
      if (this.#settings !== undefined) await flows.clean()
    })
  }

  /** The questions of one walk through the conntrack table. */
  async #audit(family: Family, withdrawn: WithdrawnLeads): Promise<FlowAudit | undefined> {
    const settings = this.#settings
    const served = settings !== undefined && ofFamily(settings.localPodCidrs, family).length > 0
    const current = served
      ? this.#claims.holders.flatMap((holder) => publishedLeads(family, holder, settings.needed))
      : []
    const former = withdrawn.take()
    if (![...current, ...former].some(({ protocol }) => protocol === 'udp')) return undefined
    try {
      const isLocal = withinAny(await this.#kernel.localNetworks(family))
      const localhost = family === 4 && settings?.localhostHostPorts === true
      return {
        judge: hostPortJudge(current, former, { isLocal, localhost }),
        done: (succeeded) => {
          if (!succeeded) withdrawn.add(former)
        },
      }
    } catch (error) {
      withdrawn.add(former)
      throw error
    }
  }

  /** Evaluated lazily, under the mutex, so that it includes every claim made up to that point. */
  #desired(family: Family): RuleSet {
    return this.#settings === undefined
      ? noRules
      : desiredRules({ ...this.#settings, family, attachments: this.#claims.holders })
  }

  /**
   * One family that fails does not keep the other from its rules.
   * @throws what the first to fail threw, when all have ended.
   */
  async #everyFamily<T>(work: (state: FamilyState) => Promise<T>): Promise<T[]> {
    return settleAll(this.#families.map(work))
  }

  /** After a restart: of two that want one port, which a past defect may have left, the older keeps it. */
  #adopt(attachments: readonly Attachment[]): void {
    const keys = new Set<string>(attachments.map(({ hostInterface }) => hostInterface))
    for (const key of this.#removed) if (!keys.has(key)) this.#removed.delete(key)
    const unknown = attachments.filter(
      (attachment) =>
        attachment.portMappings.length > 0 &&
        !this.#claims.has(attachment) &&
        !this.#removed.has(attachment.hostInterface),
    )
    for (const attachment of unknown.toSorted((a, b) => a.createdAt - b.createdAt)) {
      try {
        this.#claims.claim(attachment)
      } catch (error) {
        if (!(error instanceof HostPortTakenError)) throw error
        this.#log.warn({ containerId: attachment.containerId }, error.message)
      }
    }
  }
}

/** Wants the chains of the set and no others. */
function wantChains(tables: FamilyTables, { chains }: RuleSet): void {
  for (const place of podRulesOwner.chains) {
    const wanted = chains.find(({ table, chain }) => table === place.table && chain === place.chain)
    if (wanted === undefined) tables.unwant(place.table, [place.chain])
    else tables.want(place.table, [[place.chain, wanted.rules]])
  }
}

/** Makes the kernel hold the rules of the set, whatever it holds now. @throws {CommandError} */
async function auditFor(tables: FamilyTables, desired: RuleSet): Promise<Audited> {
  wantChains(tables, desired)
  tables.wantJumps(desired.jumps)
  // No other program makes our chains: once none were found, none are looked for.
  if (tables.isEmpty) return { repaired: [], stray: [], written: nothingWritten }
  return tables.audit(renderNothing)
}

/** Every chain is kept as text. */
const renderNothing: Render = () => new Map()

function total(audits: readonly Audited[]): RulesResult {
  return {
    restores: audits.reduce((sum, { written }) => sum + written.restores, 0),
    repaired: audits.flatMap(({ repaired }) => repaired),
  }
}
