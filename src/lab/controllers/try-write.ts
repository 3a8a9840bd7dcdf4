// Sends one write of a controller. Controllers act on snapshots, which may be slightly outdated.
import type { Logger } from 'pino'
import { ApiError } from '../../cluster/api-error.ts'

export type ControllerLog = Pick<Logger, 'debug' | 'info' | 'warn'>

/**
 * Sends a write and logs the result. A conflict or a missing object means that the snapshot was outdated; the change
 * that it lacks triggers another pass. Any other failure is logged and retried with the next pass, so that it does not
 * delay other objects.
 * @param what the write in a few words, for the log.
 * @returns whether the write succeeded.
 */
export async function tryWrite(log: ControllerLog, what: string, write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write()
    log.debug(what)
    return true
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 409))
      log.debug({ write: what, reason: error.reason }, 'snapshot outdated; retrying with the next change')
    else log.warn({ write: what, err: error }, 'write failed; retrying')
    return false
  }
}
