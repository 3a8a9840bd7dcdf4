// How a pod's ADD waits for its verdicts: the pod must not send or be sent a packet before what policies say of it is
// in force. Its ADD makes it known, and is answered after a sync that began later has gone through. Where its labels
// have not arrived by then, the sync has put it to deny, as far as a policy of its namespace might select it; ADD waits
// some seconds for better and then lets it start so.
import type { Logger } from 'pino'
import type { Kernel } from '../kernel/kernel.ts'
import { forgetNeighbour } from '../kernel/route-changes.ts'
import type { Attachment } from '../pods/attachment.ts'
import { CniError, cniCodes } from '../pods/cni/cni-error.ts'
import type { PolicyHook } from '../pods/hooks.ts'
import type { LocalPod } from '../policy/local-pod.ts'
import type { LiveConfig } from './live-config.ts'
import { localPodOf, type PolicyEnforcer } from './policy-enforcer.ts'

export interface PolicyGateParts {
  readonly live: LiveConfig
  readonly enforcer: PolicyEnforcer
  readonly kernel: Kernel
  /** Where policies are read. */
  readonly server: () => string
  readonly log: Logger
}

export class PolicyGate implements PolicyHook {
  readonly #parts: PolicyGateParts

  constructor(parts: PolicyGateParts) {
    this.#parts = parts
  }

  get waitsFor(): string | undefined {
    const { live, enforcer, server } = this.#parts
    return !live.current.networkPolicy || enforcer.isKnown
      ? undefined
      : `the network policies of the cluster, and what they are judged by, have not been read from ${server()} yet`
  }

  /** @throws {CniError} */
  async add(attachment: Attachment): Promise<void> {
    const { live, enforcer } = this.#parts
    const local = localPodOf(attachment)
    if (!live.current.networkPolicy || local === undefined) return
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), live.current.policyStartSeconds * 1000)
    using _hurry = enforcer.hurry()
    try {
      await this.#untilKnown(deadline.signal)
      // Without a policy of its namespace nothing is to be written for it, whoever it is.
      if (!enforcer.hasPolicies(local.namespace)) return
      await this.#untilJudged(local, deadline.signal)
      await this.#dropWaiting(attachment)
    } finally {
      clearTimeout(timer)
    }
  }

  remove(): void {
    this.#parts.enforcer.changed()
  }

  /** Policies that were never read might forbid anything. */
  async #untilKnown(deadline: AbortSignal): Promise<void> {
    await this.#parts.enforcer.whenKnown(deadline)
    const { waitsFor } = this
    if (waitsFor !== undefined)
      throw new CniError(cniCodes.tryAgain, 'the network policies of the cluster are not known yet', {
        details: waitsFor,
      })
  }

  /** Until the pod's verdicts are in force: its own, or when it is too late those of a pod without labels. */
  async #untilJudged(local: LocalPod, deadline: AbortSignal): Promise<void> {
    const { enforcer, log } = this.#parts
    while (enforcer.hasPolicies(local.namespace)) {
      await this.#nextSync()
      if (!enforcer.isHeld(local)) return
      if (deadline.aborted)
        return log.warn(
          { pod: local.key },
          `pod ${local.key} starts though its labels have not arrived from the API server; until they do it is denied what a policy of its namespace could forbid`,
        )
      if (!enforcer.hasLabels(local)) await enforcer.nextChange(deadline)
    }
  }

  async #nextSync(): Promise<void> {
    try {
      await this.#parts.enforcer.nextSync()
    } catch (error) {
      throw new CniError(cniCodes.tryAgain, 'network policies could not be put in force', {
        details: error instanceof Error ? error.message : String(error),
        cause: error,
      })
    }
  }

  /**
   * What was sent to the pod's address before it was anybody's has passed the rules by now, and waits in the kernel for
   * somebody to answer to the address: the pod would be given it whatever its verdicts say. From here on what comes is
   * judged.
   */
  async #dropWaiting({ addresses }: Attachment): Promise<void> {
    const { kernel, live } = this.#parts
    const [failure] = await kernel.apply(addresses.map((address) => forgetNeighbour(live.current.bridge, address)))
    if (failure !== undefined && failure.error.kind !== 'missing')
      throw new CniError(cniCodes.tryAgain, 'what was sent to the address before could not be dropped', {
        details: failure.error.message,
        cause: failure.error,
      })
  }
}
