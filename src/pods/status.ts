// STATUS: whether an ADD could succeed now. Answered from memory: runtimes ask every few seconds, under a lock.
import { CniError, cniCodes } from './cni/cni-error.ts'
import type { NodeState } from './node-state.ts'

/**
 * @param bridgeProblem why the bridge is not ready; undefined when it is
 * @throws {CniError} notAvailable
 */
export function status(state: NodeState, bridgeProblem: string | undefined): void {
  if (state.settings === undefined) throw new CniError(cniCodes.notAvailable, 'the node has no podCIDR yet', { details: 'the controller manager assigns one when started with --allocate-node-cidrs' })
  if (bridgeProblem !== undefined) throw new CniError(cniCodes.notAvailable, `bridge ${state.settings.bridge} is not ready`, { details: bridgeProblem })
}
