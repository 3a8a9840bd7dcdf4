// Policies in the agent: what is watched for them, when they are synced, and how a pod's ADD waits for its verdicts.
//
// A pod must not send or be sent a packet before what policies say of it is in force. Its ADD makes it known, and is answered after a sync that began later has gone
// through. Where its labels have not arrived by then, the sync has put it to deny, as far as a policy of its namespace might select it; ADD waits some seconds for better
// and then lets it start so.
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { systemClock } from '../cluster/clock.ts'
import type { ClusterNamespace } from '../cluster/namespace.ts'
import type { ClusterNetworkPolicy } from '../cluster/network-policy.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { ClusterPod } from '../cluster/pod.ts'
import { projectNamespace, sameNamespace } from '../cluster/project-namespace.ts'
import { projectNetworkPolicy, samePolicy } from '../cluster/project-network-policy.ts'
import { Reflector } from '../cluster/reflector.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { forgetNeighbour } from '../kernel/route-changes.ts'
import { linkLocalOf } from '../net/mac.ts'
import type { Attachment } from '../pods/attachment.ts'
import { CniError, cniCodes } from '../pods/cni/cni-error.ts'
import type { PolicyHook } from '../pods/hooks.ts'
import type { Denial } from '../policy/denials.ts'
import { type LocalPod, objectOf } from '../policy/local-pod.ts'
import { LookSchedule } from '../policy/look-schedule.ts'
import { Policies } from '../policy/policies.ts'
import type { Subject } from '../policy/subjects.ts'
import type { LiveConfig } from './live-config.ts'
import type { Metrics } from './metrics.ts'
import { policySettings } from './policy-options.ts'
import { Reports } from './reports.ts'
import { SyncLoop } from './sync-loop.ts'

export interface PolicyEnforcerParts {
  readonly live: LiveConfig
  readonly api: ApiConnection
  readonly kernel: Kernel
  readonly nodes: Reflector<ClusterNode>
  /** Of the whole cluster. */
  readonly pods: Reflector<ClusterPod>
  readonly attachments: () => Iterable<Attachment>
  readonly metrics: Metrics
  readonly log: Logger
}

/** ms from one sync to the next while nobody waits: pods come and go all the time in a large cluster. */
const coalesceMs = 100

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class PolicyEnforcer implements PolicyHook {
  readonly #parts: PolicyEnforcerParts
  readonly #reports: Reports
  readonly #policies: Policies
  readonly #loop: SyncLoop
  readonly policies: Reflector<ClusterNetworkPolicy>
  readonly namespaces: Reflector<ClusterNamespace>
  #looks: LookSchedule | undefined
  /** Who waits for a sync that has not begun yet. */
  #waiters: Waiter[] = []
  /** Who waits for any change in the cluster. */
  readonly #watchers: (() => void)[] = []
  /** ADDs under way. */
  #starting = 0
  #syncedAt = -Infinity
  #pause: NodeJS.Timeout | undefined

  constructor(parts: PolicyEnforcerParts) {
    const { api, log } = parts
    this.#parts = parts
    this.#reports = new Reports(log)
    this.#policies = new Policies(parts)
    this.policies = new Reflector({ api, path: '/apis/networking.k8s.io/v1/networkpolicies', project: projectNetworkPolicy, equals: samePolicy, log })
    this.namespaces = new Reflector({ api, path: '/api/v1/namespaces', project: projectNamespace, equals: sameNamespace, log })
    this.#loop = new SyncLoop({ sync: () => this.#sync(), audit: () => this.#look(), auditDue: () => this.#looks?.due, onError: (error) => this.#failed(error), clock: systemClock })
  }

  /** Packets that no policy admits, as of the last look. */
  get denials(): readonly Denial[] {
    return this.#policies.denials
  }

  /** How many pods of this node policies isolate, by whether their labels are known. */
  get pods(): { readonly isolated: number; readonly held: number } {
    const held = this.#policies.isolated.filter(isHeld).length
    return { isolated: this.#policies.isolated.length - held, held }
  }

  /** Until the signal, and never rejects. Verdicts stay. */
  async run(signal: AbortSignal): Promise<void> {
    if (!this.#parts.live.current.networkPolicy) return this.#switchOff()
    const { nodes, pods } = this.#parts
    const sources = [nodes, pods, this.policies, this.namespaces]
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    const begin = async (): Promise<void> => {
      // Half of what there is would look like the rest were deleted; what an earlier agent has written holds until then.
      await Promise.race([Promise.all(sources.map((source) => source.whenSynced())), stopped])
      for (const source of [...sources, this.#parts.live]) source.onChange(() => this.#changed())
      this.#loop.trigger()
      await this.#loop.run(signal)
    }
    await Promise.all([this.policies.run(signal), this.namespaces.run(signal), begin()])
    clearTimeout(this.#pause)
  }

  /** @throws {CniError} */
  async add(attachment: Attachment): Promise<void> {
    const local = localPodOf(attachment)
    if (!this.#parts.live.current.networkPolicy || local === undefined) return
    this.#starting += 1
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), this.#parts.live.current.policyStartSeconds * 1000)
    try {
      await this.#untilKnown(deadline.signal)
      // Without a policy of its namespace nothing is to be written for it, whoever it is.
      if (!this.#hasPolicies(local.namespace)) return
      await this.#untilJudged(local, deadline.signal)
      await this.#dropWaiting(attachment)
    } finally {
      clearTimeout(timer)
      this.#starting -= 1
    }
  }

  /** Until the pod's verdicts are in force: its own, or when it is too late those of a pod without labels. */
  async #untilJudged(local: LocalPod, deadline: AbortSignal): Promise<void> {
    while (this.#hasPolicies(local.namespace)) {
      await this.#nextSync()
      if (!this.#isHeld(local)) return
      if (deadline.aborted) return this.#parts.log.warn({ pod: local.key }, `pod ${local.key} starts though its labels have not arrived from the API server; until they do it is denied what a policy of its namespace could forbid`)
      if (objectOf(local, this.#parts.pods.snapshot) === undefined) await this.#change(deadline)
    }
  }

  /**
   * What was sent to the pod's address before it was anybody's has passed the rules by now, and waits in the kernel for somebody to answer to the address: the pod would be
   * given it whatever its verdicts say. From here on what comes is judged.
   */
  async #dropWaiting({ addresses }: Attachment): Promise<void> {
    const { kernel, live } = this.#parts
    const [failure] = await kernel.apply(addresses.map((address) => forgetNeighbour(live.current.bridge, address)))
    if (failure !== undefined && failure.error.kind !== 'missing') throw new CniError(cniCodes.tryAgain, 'what was sent to the address before could not be dropped', { details: failure.error.message, cause: failure.error })
  }

  remove(): void {
    this.#changed()
  }

  /** Policies that were never read might forbid anything. */
  async #untilKnown(deadline: AbortSignal): Promise<void> {
    const sources = [this.#parts.nodes, this.#parts.pods, this.policies, this.namespaces]
    const over = new Promise<void>((resolve) => deadline.addEventListener('abort', () => resolve(), { once: true }))
    await Promise.race([Promise.all(sources.map((source) => source.whenSynced())), over])
    if (!sources.every(({ synced }) => synced)) throw new CniError(cniCodes.tryAgain, 'the network policies of the cluster are not known yet', { details: `they have not been read from ${this.#parts.api.server} so far` })
  }

  /** A sync that begins after this call. @throws {CniError} when it fails; it is repeated without us. */
  async #nextSync(): Promise<void> {
    const synced = new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }))
    this.#loop.trigger()
    try {
      await synced
    } catch (error) {
      throw new CniError(cniCodes.tryAgain, 'network policies could not be put in force', { details: error instanceof Error ? error.message : String(error), cause: error })
    }
  }

  /** Until something has changed in the cluster, or it is too late. */
  async #change(deadline: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#watchers.push(resolve)
      deadline.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  #hasPolicies(namespace: string): boolean {
    return [...this.policies.snapshot.values()].some((policy) => policy.namespace === namespace)
  }

  #isHeld({ key }: LocalPod): boolean {
    return this.#policies.isolated.some((subject) => subject.local.key === key && isHeld(subject))
  }

  #changed(): void {
    for (const resolve of this.#watchers.splice(0)) resolve()
    const rest = this.#syncedAt + coalesceMs - performance.now()
    if (this.#starting > 0 || rest <= 0) this.#loop.trigger()
    else this.#pause ??= setTimeout(() => {
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
    this.#policies.configure(policySettings(config, podCidrs.length === 0 ? [4, 6] : [...new Set(podCidrs.map(({ family }) => family))]))
    const snapshots = { policies: this.policies.snapshot, namespaces: this.namespaces.snapshot, pods: pods.snapshot, nodes: nodes.snapshot }
    const end = metrics.reconcileSeconds.startTimer({ room: 'policy' })
    const { text, ...counts } = await this.#policies.sync(snapshots, [...attachments()].flatMap((attachment) => localPodOf(attachment) ?? []))
    end()
    this.#syncedAt = performance.now()
    this.#looks ??= new LookSchedule(config.resyncSeconds * 1000, Date.now)
    this.#reports.say('policy rules', [])
    for (const [kind, count] of Object.entries(counts)) metrics.reconcileChanges.inc({ room: 'policy', kind: kind.slice(0, -1) }, count)
    if (text !== '') log.debug(counts, 'policy rules written')
  }

  async #look(): Promise<void> {
    const damaged = await this.#looks?.run((which) => this.#policies.look(which))
    if (damaged === undefined || damaged.length === 0) return
    await this.#sync()
    this.#parts.log.warn({ room: 'policy', damaged }, 'what another program had changed of the policy rules is put back')
  }

  #failed(error: unknown): void {
    this.#reports.say('policy rules', [`policy rules could not be written, trying again: ${error instanceof Error ? error.message : String(error)}`])
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

function isHeld({ ingress, egress }: Subject): boolean {
  return ingress === 'held' || egress === 'held'
}

/** Undefined with a runtime that names no pod: then there is nothing that a policy could select. */
function localPodOf({ pod, addresses, podMac }: Attachment): LocalPod | undefined {
  return pod === undefined ? undefined : { key: `${pod.namespace}/${pod.name}`, namespace: pod.namespace, uid: pod.uid, addresses, linkLocal: linkLocalOf(podMac) }
}
