// STATUS: whether an ADD could succeed now. Answered from memory: runtimes ask every few seconds, under a lock.
import { CniError, cniCodes } from './cni/cni-error.ts'
import type { PodContext } from './context.ts'
import type { NodeState, PodNetworkSettings } from './node-state.ts'

/** How long an ADD waits for an agent that has started to know the cluster, ms. */
const firstLookMs = 10_000
const notReady = 'the network of this node is not ready for pods'

/**
 * For ADD: an agent that restarts should fail no pod, so its first look at the cluster is waited for. What that look
 * finds wrong is told at once.
 * @throws {CniError} while pods cannot be served
 */
export async function whenReady(state: NodeState): Promise<PodNetworkSettings> {
  await inTime(state.judged)
  return requireReady(state, cniCodes.tryAgain)
}

/**
 * For ADD, before its turn: flows that an earlier agent left may still lead to an address that was freed just now.
 * @throws {CniError} while pods cannot be served
 */
export async function whenSettled({ state, hooks }: PodContext): Promise<void> {
  await whenReady(state)
  await inTime(hooks.hostPorts.settled)
}

async function inTime(event: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, firstLookMs)
  await Promise.race([event, late])
  clearTimeout(timer)
}

/** @throws {CniError} while an ADD would fail */
export function status({ state, hooks }: PodContext): void {
  requireReady(state, cniCodes.notAvailable)
  // An ADD that comes all the same waits for this itself, when its wire is there.
  if (hooks.policy.waitsFor !== undefined)
    throw new CniError(cniCodes.notAvailable, notReady, { details: hooks.policy.waitsFor })
}

/**
 * @param code notAvailable for STATUS, tryAgain for an ADD that comes anyway
 * @throws {CniError} while pods cannot be served
 */
function requireReady(
  { settings, waitsFor, bridgeProblem }: NodeState,
  code: typeof cniCodes.notAvailable | typeof cniCodes.tryAgain,
): PodNetworkSettings {
  if (settings === undefined) throw new CniError(code, notReady, { details: waitsFor })
  if (bridgeProblem !== undefined)
    throw new CniError(code, `bridge ${settings.bridge} is not ready`, { details: bridgeProblem })
  return settings
}
