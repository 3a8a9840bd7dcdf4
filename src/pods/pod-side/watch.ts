// Looks into the pods' namespaces for drift: where the kernel has news of one, where a host veth has no carrier, and
// now and then without either. What a pod cannot have meant, since it may not change its network, is put back; the rest
// is reported (ADR 35).
import type { Change } from '../../kernel/change.ts'
import { CommandError } from '../../kernel/command-error.ts'
import type { Link, NamespaceState } from '../../kernel/observed.ts'
import type { InterfaceName } from '../../net/interface-name.ts'
import { type Clock, steadyClock } from '../../runtime/clock.ts'
import { Loop } from '../../runtime/loop.ts'
import type { PodAttachment } from '../attachment-codec.ts'
import { cachedAdds } from '../cni/result-cache.ts'
import { type CommandQueue, subjectsOf } from '../command-queue.ts'
import type { PodContext } from '../context.ts'
import { describePod } from '../rules/host-ports.ts'
import { diffPodSide, type PodDrift } from './diff.ts'
import { ProbeSchedule } from './probe-schedule.ts'

/** Drift that stays as it is. */
export interface LeftDrift {
  /** NAMESPACE/NAME, or the container. */
  readonly pod: string
  readonly what: readonly string[]
  /**
   * `own`: the pod may change its network (NET_ADMIN). `chained`: other plugins come after ours in its CNI
   * configuration. `unknown`: the API server does not say what the pod may do. `refused`: the kernel did not take it.
   */
  readonly reason: 'own' | 'chained' | 'unknown' | 'refused'
}

export interface PodSideOptions {
  /** Whether the pod may change its own network; undefined where the API server does not have it. */
  readonly mayChange: (attachment: PodAttachment) => boolean | undefined
  /** Called with what has been put back in a pod's namespace. */
  readonly repaired: (pod: string, what: readonly string[], changes: readonly Change[]) => void
}

export class PodSideWatch {
  readonly #context: PodContext
  readonly #queue: CommandQueue
  readonly #options: PodSideOptions
  readonly #clock: Clock
  readonly #schedule: ProbeSchedule
  readonly #loop: Loop
  /** By the id that our namespace gives that of the pod. */
  #veths: ReadonlyMap<number, readonly InterfaceName[]> = new Map()
  readonly #left = new Map<InterfaceName, LeftDrift>()
  /** Whether other plugins come after ours, as far as it had to be known. */
  readonly #chained = new WeakMap<PodAttachment, boolean>()

  constructor(context: PodContext, queue: CommandQueue, options: PodSideOptions, clock = steadyClock) {
    this.#context = context
    this.#queue = queue
    this.#options = options
    this.#clock = clock
    this.#schedule = new ProbeSchedule(() => clock.random())
    this.#loop = new Loop({
      reconcile: async () => {},
      audit: async () => this.#probeNext(),
      auditDue: () => this.#schedule.next?.due,
      onError: (error) => context.log.warn({ err: error }, 'a pod could not be compared with what it should hold'),
      clock,
    })
  }

  /** What differs in pods and stays so. */
  get left(): readonly LeftDrift[] {
    return [...this.#left.values()]
  }

  /** Until the signal; before it, nothing is looked at. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    this.#context.kernel.onNamespaceChange((namespace) => {
      const now = this.#clock.now()
      if (namespace === undefined) this.#schedule.allChanged(now)
      else for (const name of this.#veths.get(namespace) ?? []) this.#schedule.changed(name, now)
      this.#loop.reschedule()
    })
    this.#keep()
    await this.#loop.run(signal)
  }

  /** Learns which namespace is whose, and who has no carrier, from the node's own links. */
  observe(links: readonly Link[]): void {
    const { attachments } = this.#context.state
    const ours = links.filter(({ name }) => attachments.has(name as InterfaceName))
    const byNamespace = Map.groupBy(ours, ({ peer }) => peer?.namespace ?? -1)
    this.#veths = new Map(
      [...byNamespace].map(([namespace, veths]) => [namespace, veths.map(({ name }) => name as InterfaceName)]),
    )
    this.#keep()
    const now = this.#clock.now()
    for (const { name, up, carrier } of ours) if (up && !carrier) this.#schedule.changed(name, now)
    this.#loop.reschedule()
  }

  #keep(): void {
    const { attachments } = this.#context.state
    this.#schedule.keep(new Set(attachments.keys()), this.#clock.now())
    for (const name of this.#left.keys()) if (!attachments.has(name)) this.#left.delete(name)
  }

  async #probeNext(): Promise<void> {
    const name = this.#schedule.next?.name as InterfaceName | undefined
    const attachment = name === undefined ? undefined : this.#context.state.attachments.get(name)
    if (name === undefined || attachment === undefined) return this.#keep()
    // A command is about it: what it holds now is not what it is to hold.
    if (this.#queue.isBusy(subjectsOf(attachment))) return this.#schedule.postpone(name, this.#clock.now())
    await this.#queue.run(subjectsOf(attachment), async () => {
      const begin = this.#clock.now()
      try {
        const state = await this.#stateOf(attachment)
        const cost = this.#clock.now() - begin
        const outcome = state === undefined ? 'same' : await this.#settle(attachment, state)
        this.#schedule.probed(name, this.#clock.now(), cost, outcome)
      } catch (error) {
        this.#schedule.probed(name, this.#clock.now(), this.#clock.now() - begin, 'left')
        throw error
      }
    })
  }

  /** Undefined for a namespace that is gone: that is for reclaim to find. */
  async #stateOf({ netns, podCidrs }: PodAttachment): Promise<NamespaceState | undefined> {
    try {
      return await this.#context.kernel.stateIn(
        netns,
        podCidrs.map(({ family }) => family),
      )
    } catch (error) {
      if (error instanceof CommandError && error.kind === 'missing') return undefined
      throw error
    }
  }

  async #settle(attachment: PodAttachment, observed: NamespaceState): Promise<'same' | 'repaired' | 'left'> {
    const { state } = this.#context
    const drift = diffPodSide(attachment, observed, (address) => state.macOf(address)).filter(({ taken }) => !taken)
    const reason = drift.length === 0 ? undefined : await this.#reasonToLeave(attachment)
    const changes = reason === undefined ? drift.flatMap(({ repair }) => repair ?? []) : []
    const stays = reason === undefined ? await this.#apply(attachment, drift, changes) : drift
    this.#report(attachment, stays, reason ?? 'refused')
    if (stays.length > 0) return 'left'
    return changes.length > 0 ? 'repaired' : 'same'
  }

  async #reasonToLeave(attachment: PodAttachment): Promise<LeftDrift['reason'] | undefined> {
    const mayChange = this.#options.mayChange(attachment)
    if (mayChange === undefined) return 'unknown'
    if (mayChange) return 'own'
    return (await this.#isChained(attachment)) ? 'chained' : undefined
  }

  async #isChained(attachment: PodAttachment): Promise<boolean> {
    const { cniDir, log } = this.#context
    const { hostInterface } = attachment
    const known = this.#chained.get(attachment)
    if (known !== undefined) return known
    const chained = (await cachedAdds(cniDir, new Set([hostInterface]), log)).get(hostInterface)?.chained ?? false
    this.#chained.set(attachment, chained)
    return chained
  }

  /** @returns what could not be put back */
  async #apply(
    attachment: PodAttachment,
    drift: readonly PodDrift[],
    changes: readonly Change[],
  ): Promise<readonly PodDrift[]> {
    const { kernel, log } = this.#context
    const failures = changes.length === 0 ? [] : await kernel.applyIn(attachment.netns, changes)
    const failed = new Set(failures.map(({ change }) => change))
    const made = drift.filter(({ repair }) => repair !== undefined && !failed.has(repair))
    for (const { error } of failures)
      log.debug({ command: error.command, stderr: error.stderr }, 'refused by the kernel')
    if (made.length > 0)
      this.#options.repaired(
        describePod(attachment),
        made.map(({ what }) => what),
        made.flatMap(({ repair }) => repair ?? []),
      )
    return drift.filter((each) => !made.includes(each))
  }

  /** Once when it becomes true, and once when it no longer is. */
  #report(attachment: PodAttachment, drift: readonly PodDrift[], reason: LeftDrift['reason']): void {
    const { log } = this.#context
    const { hostInterface, netns } = attachment
    const pod = describePod(attachment)
    const before = this.#left.get(hostInterface)
    const what = drift.map((each) => each.what)
    if (drift.length === 0) {
      if (this.#left.delete(hostInterface)) log.info({ pod }, 'the network of a pod is as it was made again')
      return
    }
    this.#left.set(hostInterface, { pod, what, reason })
    if (before?.reason === reason && before.what.join() === what.join()) return
    log[reason === 'own' ? 'info' : 'warn'](
      { pod, netns, what, reason },
      'the network of a pod is not as it was made, and stays so',
    )
  }
}
