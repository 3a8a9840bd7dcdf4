// STATUS: whether an ADD could succeed now. Answered from memory: runtimes ask every few seconds, under a lock.
import { CniError, type cniCodes } from './cni/cni-error.ts'
import type { NodeState, PodNetworkSettings } from './node-state.ts'

/**
 * @param code notAvailable for STATUS, tryAgain for an ADD that comes anyway
 * @throws {CniError} while pods cannot be served
 */
export function requireReady({ settings, waitsFor, bridgeProblem }: NodeState, code: typeof cniCodes.notAvailable | typeof cniCodes.tryAgain): PodNetworkSettings {
  if (settings === undefined) throw new CniError(code, 'the network of this node is not ready for pods', { details: waitsFor })
  if (bridgeProblem !== undefined) throw new CniError(code, `bridge ${settings.bridge} is not ready`, { details: bridgeProblem })
  return settings
}
