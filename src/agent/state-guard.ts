// What lies in /run/fairlead while we run: the lock, the attachments and the CNI socket. A clean-up script that empties
// /run takes them away without a word; without the socket no pod would start again, and without the lock a second agent
// could.
import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { CniSocket } from './cni-socket.ts'
import { type NodeLock, NodeTakenError } from '../host/node-lock.ts'
import type { Repairs } from '../runtime/repairs.ts'

export interface Guarded {
  readonly stateDir: string
  readonly lock: NodeLock
  readonly socket: CniSocket
  readonly podNetwork: { restoreFiles(): boolean }
  readonly repairs: Repairs
}

/**
 * Puts back what is missing. A few looks at /run where nothing is.
 * @returns whether all was there.
 * @throws {NodeTakenError} when another agent has come in meanwhile.
 */
export async function guardState(guarded: Guarded, log: Logger): Promise<boolean> {
  const { stateDir, repairs } = guarded
  try {
    const restored = await restore(guarded)
    repairs.note('state', restored)
    if (restored.length > 0)
      log.warn({ restored }, `${stateDir} was emptied by another program: ${restored.join(', ')} put back`)
    return restored.length === 0
  } catch (error) {
    if (error instanceof NodeTakenError) throw error
    log.error(
      { err: error },
      `${stateDir} was emptied by another program and cannot be filled again; it is tried again`,
    )
    return false
  }
}

async function restore({ stateDir, lock, socket, podNetwork }: Guarded): Promise<string[]> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
  return [
    // First: while another agent might run, nothing else is ours to touch.
    ...((await lock.renew()) ? ['lock'] : []),
    ...(podNetwork.restoreFiles() ? ['attachments'] : []),
    ...((await socket.renew()) ? ['cni.sock'] : []),
  ]
}
