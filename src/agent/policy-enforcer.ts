// Policies in the agent: what is watched for them, when they are synced and looked at, and what came of it. How a pod's
// ADD waits for that stands in policy-gate.ts.
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { systemClock } from '../runtime/clock.ts'
import type { ClusterNamespace } from '../cluster/namespace.ts'
import type { ClusterNetworkPolicy } from '../cluster/network-policy.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { ClusterPod } from '../cluster/pod.ts'
import { projectNamespace, sameNamespace } from '../cluster/project-namespace.ts'
import { projectNetworkPolicy, samePolicy } from '../cluster/project-network-policy.ts'
import { Reflector } from '../cluster/reflector.ts'
import { CommandError } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { linkLocalOf } from '../net/mac.ts'
import type { Attachment } from '../pods/attachment.ts'
import type { Denial } from '../policy/denials.ts'
import { type LocalPod, objectOf } from '../policy/local-pod.ts'
import { LookSchedule } from '../policy/look-schedule.ts'
import type { Misaddressed } from '../policy/misaddressed.ts'
import { Policies } from '../policy/policies.ts'
import type { Subject } from '../policy/subjects.ts'
import type { LiveConfig } from './live-config.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { policySettings } from './policy-options.ts'
import type { Repairs } from '../runtime/repairs.ts'
import { ReportedError, Reports } from '../runtime/reports.ts'
import { Loop } from '../runtime/loop.ts'

export interface PolicyEnforcerParts {
  readonly live: LiveConfig
  readonly api: ApiConnection
  readonly kernel: Kernel
  readonly nodes: Reflector<ClusterNode>
  /** Of the whole cluster. */
  readonly pods: Reflector<ClusterPod>
  readonly attachments: () => Iterable<Attachment>
  readonly metrics: Metrics
  readonly repairs: Repairs
  readonly log: Logger
}

/** ms from one sync to the next while nobody waits: pods come and go all the time in a large cluster. */
const coalesceMs = 100

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class PolicyEnforcer {
  readonly #parts: PolicyEnforcerParts
  readonly #reports: Reports
  readonly #policies: Policies
  readonly #loop: Loop
  readonly policies: Reflector<ClusterNetworkPolicy>
  readonly namespaces: Reflector<ClusterNamespace>
  #looks: LookSchedule | undefined
  /** Who waits for a sync that has not begun yet. */
  #waiters: Waiter[] = []
  /** Who waits for any change in the cluster. */
  readonly #watchers: (() => void)[] = []
  /** How many are in a {@link hurry}. */
  #hurried = 0
  #syncedAt = -Infinity
  #pause: NodeJS.Timeout | undefined

  constructor(parts: PolicyEnforcerParts) {
    const { api, log } = parts
    this.#parts = parts
    this.#reports = new Reports(log)
    this.#policies = new Policies(parts)
    this.policies = new Reflector({
      api,
      path: '/apis/networking.k8s.io/v1/networkpolicies',
      project: projectNetworkPolicy,
      equals: samePolicy,
      log,
    })
    this.namespaces = new Reflector({
      api,
      path: '/api/v1/namespaces',
      project: projectNamespace,
      equals: sameNamespace,
      log,
    })
    this.#loop = new Loop({
      reconcile: () => this.#sync(),
      audit: () => this.#look(),
      auditDue: () => this.#looks?.due,
      onError: (error) => this.#failed(error),
      clock: systemClock,
    })
  }

  /** Packets that no policy admits, as of the last look. */
  get denials(): readonly Denial[] {
    return this.#policies.denials
  }

  /** Packets at the ports of isolated pods with an address that is not theirs, as of then. */
  get misaddressed(): readonly Misaddressed[] {
    return this.#policies.misaddressed
  }

  /** ms since the epoch: when a sync last went through. */
  get syncedAt(): number | undefined {
    return this.#syncedAt < 0 ? undefined : Math.round(performance.timeOrigin + this.#syncedAt)
  }

  /** Why rules of policies are not in force as the cluster has them; empty when they are. */
  get failing(): readonly string[] {
    return this.#reports.about('policy rules')
  }

  /** All that is wrong with the rules. */
  get problems(): readonly string[] {
    return this.#reports.open
  }

  /** How many pods of this node policies isolate, by whether their labels are known. */
  get pods(): { readonly isolated: number; readonly held: number } {
    const held = this.#policies.isolated.filter(isHeld).length
    return { isolated: this.#policies.isolated.length - held, held }
  }

  /** All that policies are judged by. */
  get #sources(): readonly Reflector<unknown>[] {
    return [this.#parts.nodes, this.#parts.pods, this.policies, this.namespaces]
  }

  /** Until the signal, and never rejects. Verdicts stay. */
  async run(signal: AbortSignal): Promise<void> {
    if (!this.#parts.live.current.networkPolicy) return this.#switchOff()
    const begin = async (): Promise<void> => {
      // Half of what there is would look like the rest were deleted; what an earlier agent has written holds until
      // then.
      await this.whenKnown(signal)
      for (const source of [...this.#sources, this.#parts.live]) source.onChange(() => this.changed())
      this.#loop.trigger()
      await this.#loop.run(signal)
    }
    await Promise.all([this.policies.run(signal), this.namespaces.run(signal), begin()])
    clearTimeout(this.#pause)
  }

  /** Until {@link isKnown}, or the signal. */
  async whenKnown(signal: AbortSignal): Promise<void> {
    const over = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    await Promise.race([Promise.all(this.#sources.map((source) => source.whenSynced())), over])
  }

  /** Whether policies, and all that they are judged by, have been read once. It stays true. */
  get isKnown(): boolean {
    return this.#sources.every(({ synced }) => synced)
  }

  hasPolicies(namespace: string): boolean {
    return [...this.policies.snapshot.values()].some((policy) => policy.namespace === namespace)
  }

  hasLabels(local: LocalPod): boolean {
    return objectOf(local, this.#parts.pods.snapshot) !== undefined
  }

  /** Whether the pod is denied what policies could forbid, as of the last sync, for its labels were not known. */
  isHeld({ key }: LocalPod): boolean {
    return this.#policies.isolated.some((subject) => subject.local.key === key && isHeld(subject))
  }

  /** Until it is disposed of, changes are synced at once: somebody waits for them. */
  hurry(): Disposable {
    this.#hurried += 1
    return { [Symbol.dispose]: () => void (this.#hurried -= 1) }
  }

  /** A sync that begins after this call. Rejects when it fails; it is repeated without us. */
  async nextSync(): Promise<void> {
    const synced = new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }))
    this.#loop.trigger()
    await synced
  }

  /** Until something has changed in the cluster, or the signal. */
  async nextChange(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#watchers.push(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  /** Something may be another than it was: a sync follows. */
  changed(): void {
    for (const resolve of this.#watchers.splice(0)) resolve()
    const rest = this.#syncedAt + coalesceMs - performance.now()
    if (this.#hurried > 0 || rest <= 0) this.#loop.trigger()
    else
      this.#pause ??= setTimeout(() => {
        this.#pause = undefined
        this.#loop.trigger()
      }, rest)
  }

  async #sync(): Promise<void> {
    const waiters = this.#waiters.splice(0)
    try {
      await this.#write()
      for (const { resolve } of waiters) resolve()
    } catch (error) {
      for (const { reject } of waiters) reject(error)
      throw error
    }
  }

  async #write(): Promise<void> {
    const { live, nodes, pods, attachments, metrics, log } = this.#parts
    const config = live.current
    const podCidrs = nodes.snapshot.get(config.nodeName)?.podCidrs ?? []
    this.#policies.configure(
      policySettings(config, podCidrs.length === 0 ? [4, 6] : [...new Set(podCidrs.map(({ family }) => family))]),
    )
    const snapshots = {
      policies: this.policies.snapshot,
      namespaces: this.namespaces.snapshot,
      pods: pods.snapshot,
      nodes: nodes.snapshot,
    }
    const end = metrics.reconcileSeconds.startTimer({ room: 'policy' })
    const { text, ...counts } = await this.#policies.sync(
      snapshots,
      [...attachments()].flatMap((attachment) => localPodOf(attachment) ?? []),
    )
    end()
    this.#syncedAt = performance.now()
    this.#looks ??= this.#watch()
    if (counts.chains > 0) this.#looks.wrote()
    this.#reports.say('policy rules', [])
    for (const [kind, count] of Object.entries(counts))
      metrics.reconcileChanges.inc({ room: 'policy', kind: kind.slice(0, -1) }, count)
    if (text !== '') log.debug(counts, 'policy rules written')
  }

  /** From the first sync on. */
  #watch(): LookSchedule {
    const { kernel, live } = this.#parts
    const told = kernel.onRulesetChange(() => {
      this.#looks?.disturbed()
      this.#loop.reschedule()
    })
    return new LookSchedule({ longestMs: live.current.resyncSeconds * 1000, told, now: Date.now })
  }

  async #look(): Promise<void> {
    const damaged = await this.#drift()
    if (damaged.length === 0) return
    await this.#sync()
    this.#parts.repairs.note('policy', damaged)
    this.#parts.log.warn(
      { room: 'policy', damaged },
      'what another program had changed of the policy rules is put back',
    )
  }

  /** @throws {ReportedError} where the rules cannot be read */
  async #drift(): Promise<readonly string[]> {
    try {
      const damaged = await this.#looks?.run((which) => this.#policies.look(which))
      this.#reports.say('policy drift', [])
      return damaged ?? []
    } catch (error) {
      const sentence = `policy rules could not be read, so changes by other programs stay: ${reasonOf(error)}`
      this.#reports.say('policy drift', [sentence])
      throw new ReportedError(sentence, { cause: error })
    }
  }

  #failed(error: unknown): void {
    if (error instanceof ReportedError) return
    this.#reports.say('policy rules', [`policy rules could not be written, trying again: ${reasonOf(error)}`])
    this.#parts.metrics.reconcileFailures.inc({ room: 'policy', kind: 'table' })
    this.#parts.log.debug({ err: error }, 'a sync of policy rules failed')
  }

  async #switchOff(): Promise<void> {
    const { log } = this.#parts
    try {
      if (await this.#policies.clean()) log.info('policy rules removed: networkPolicy is off')
    } catch (error) {
      log.warn({ err: error }, 'policy rules of an earlier run could not be removed; `fairlead cleanup` does it')
    }
  }
}

/** With what to do, where nft crashed. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return error instanceof CommandError && error.kind === 'killed'
    ? `${message}; run fairlead doctor: it says whether a newer nft wrote tables on this node`
    : message
}

function isHeld({ ingress, egress }: Subject): boolean {
  return ingress === 'held' || egress === 'held'
}

/** Undefined with a runtime that names no pod: then there is nothing that a policy could select. */
export function localPodOf({ pod, addresses, podMac, hostInterface }: Attachment): LocalPod | undefined {
  return pod === undefined
    ? undefined
    : {
        key: `${pod.namespace}/${pod.name}`,
        namespace: pod.namespace,
        uid: pod.uid,
        addresses,
        linkLocal: linkLocalOf(podMac),
        port: hostInterface,
      }
}
