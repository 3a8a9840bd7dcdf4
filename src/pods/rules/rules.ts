// The iptables side of the pod network: egress, forwarding and host ports. Called by ADD and DEL for host ports, and by
// the agent's passes for all.
import type { Logger } from 'pino'
import type { Family } from '../../net/address.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { settleAll } from '../../runtime/settle-all.ts'
import type { Attachment } from '../attachment.ts'
import { attachmentKey } from '../attachment-store.ts'
import type { HostPortHook } from '../hooks.ts'
import { type Applied, FamilyRules } from './apply.ts'
import { desiredRules } from './desired.ts'
import { HostPortClaims, HostPortTakenError } from './host-port-claims.ts'
import { noRules, type RuleSet, type RulesInput } from './rule-set.ts'
import { Turns } from './turns.ts'

/** What the rules depend on besides the attachments; CIDRs of both families together. */
export type RulesSettings = Omit<RulesInput, 'family' | 'attachments'>

export interface RulesResult {
  /** What went to iptables-restore, a text a family; empty where all was as it should be. */
  readonly changes: readonly string[]
  /** Chains and jumps that were not as we had left them. */
  readonly repaired: readonly string[]
}

interface Lane {
  readonly family: Family
  readonly rules: FamilyRules
  /** One writer at a time. */
  readonly turns: Turns
}

export class PodRules implements HostPortHook {
  readonly #kernel: Pick<Kernel, 'deleteUdpConntrack'>
  readonly #iptables: Iptables
  readonly #log: Logger
  readonly #lanes: readonly Lane[]
  readonly #claims = new HostPortClaims()
  /** Keys of removed attachments that a list given to {@link reconcile} may still hold. */
  readonly #removed = new Set<string>()
  /** As given to {@link configure}. */
  #configured: RulesSettings | undefined
  /**
   * In force: set with the first list of attachments and not before it, since what is not known to exist is removed.
   */
  #settings: RulesSettings | undefined
  /** How often others had written when the rules were last found whole. */
  #wholeAt: number | undefined

  constructor(parts: {
    kernel: Pick<Kernel, 'deleteUdpConntrack'>
    iptables: Iptables
    log: Logger
    families: readonly Family[]
  }) {
    this.#kernel = parts.kernel
    this.#iptables = parts.iptables
    this.#log = parts.log
    this.#lanes = parts.families.map((family) => ({
      family,
      rules: new FamilyRules({ ...parts, family }),
      turns: new Turns(),
    }))
  }

  /** Takes effect with the next {@link reconcile}. */
  configure(settings: RulesSettings): void {
    this.#configured = settings
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
    this.#settings = this.#configured
    if (this.#settings === undefined) return { changes: [], repaired: [] }
    return total(
      await this.#everyLane(({ family, rules, turns }) => turns.take(() => rules.reconcile(this.#desired(family)))),
    )
  }

  /**
   * Whether no flush has taken rules away since we wrote them: a few ms of CPU, and less where nobody else has written;
   * for a look every other second.
   * @throws {CommandError}
   */
  async intact(): Promise<boolean> {
    const writes = await this.#iptables.foreignWrites()
    if (writes !== undefined && writes === this.#wholeAt) return true
    const whole = (await this.#everyLane(({ rules, turns }) => turns.take(() => rules.intact()))).every(Boolean)
    this.#wholeAt = whole ? writes : undefined
    return whole
  }

  /**
   * Before the first {@link reconcile} the ports are only taken, and work from then on.
   * @throws {HostPortTakenError} where another pod has one of them. @throws {CommandError}
   */
  async add(attachment: Attachment): Promise<void> {
    this.#removed.delete(attachmentKey(attachment))
    this.#claims.claim(attachment)
    try {
      await this.#update()
    } catch (error) {
      this.#claims.release(attachment)
      throw error
    }
    // Before the first reconcile it is a restart, whose flows already go to the pod.
    if (this.#settings !== undefined) await this.#forgetFlows(attachment)
  }

  /** @throws {CommandError} */
  async remove(attachments: readonly Attachment[]): Promise<void> {
    for (const attachment of attachments) {
      this.#removed.add(attachmentKey(attachment))
      this.#claims.release(attachment)
    }
    // Also where none was held: a removal that failed before is made good, and with nothing to do nothing is started.
    await this.#update()
  }

  /**
   * Removes every chain and jump of ours; {@link configure} and {@link reconcile} bring them back.
   * @throws {CommandError}
   */
  async clean(): Promise<RulesResult> {
    this.#configured = undefined
    this.#settings = undefined
    return total(await this.#everyLane(({ rules, turns }) => turns.take(() => rules.clean())))
  }

  /**
   * Of the requests that come while a restore runs, the first to have its turn writes for all; the others then find
   * nothing left to do.
   */
  async #update(): Promise<void> {
    await this.#everyLane(async ({ family, rules, turns }) =>
      turns.take(async () => {
        if (this.#settings !== undefined) await rules.update(this.#desired(family))
      }),
    )
  }

  /**
   * A UDP client that sent to the port before it led here has a conntrack entry that says so, and each packet keeps it
   * alive. As with portmap, that entry goes; it is no reason to fail an ADD, since new clients are served.
   */
  async #forgetFlows({ portMappings }: Attachment): Promise<void> {
    const ports = new Set(portMappings.filter(({ protocol }) => protocol === 'udp').map(({ hostPort }) => hostPort))
    const deletions = [...ports].flatMap((port) =>
      this.#lanes.map((lane) => this.#kernel.deleteUdpConntrack(lane.family, { port })),
    )
    for (const result of await Promise.allSettled(deletions)) {
      if (result.status === 'rejected')
        this.#log.warn(
          { err: result.reason as unknown },
          'conntrack entries of a UDP host port could not be deleted: clients that sent to it before may not reach the pod',
        )
    }
  }

  /** Evaluated when its turn has come, so that it holds every claim made until then. */
  #desired(family: Family): RuleSet {
    return this.#settings === undefined
      ? noRules
      : desiredRules({ ...this.#settings, family, attachments: this.#claims.holders })
  }

  /**
   * One family that fails does not keep the other from its rules.
   * @throws what the first to fail threw, when all have ended.
   */
  async #everyLane<T>(work: (lane: Lane) => Promise<T>): Promise<T[]> {
    return settleAll(this.#lanes.map(work))
  }

  /** After a restart: of two that want one port, which a past defect may have left, the older keeps it. */
  #adopt(attachments: readonly Attachment[]): void {
    const keys = new Set(attachments.map(attachmentKey))
    for (const key of this.#removed) if (!keys.has(key)) this.#removed.delete(key)
    const unknown = attachments.filter(
      (attachment) =>
        attachment.portMappings.length > 0 &&
        !this.#claims.has(attachment) &&
        !this.#removed.has(attachmentKey(attachment)),
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

function total(applied: readonly Applied[]): RulesResult {
  return {
    changes: applied.map(({ text }) => text).filter(Boolean),
    repaired: applied.flatMap(({ repaired }) => repaired),
  }
}
