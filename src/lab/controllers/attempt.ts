// One write of a controller. Controllers act on snapshots, which may be a moment behind.
import type { Logger } from 'pino'
import { ApiError } from '../../cluster/api-error.ts'

export type ControllerLog = Pick<Logger, 'debug' | 'info' | 'warn'>

/**
 * Answers whether it was done. A conflict or a missing object means that the snapshot was behind: the change we had not
 * seen will call for another pass. Whatever else goes wrong with one object is told and tried again with the next pass;
 * it never holds up the others.
 */
export async function attempt(log: ControllerLog, what: string, write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write()
    log.debug(what)
    return true
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 409))
      log.debug({ reason: error.reason }, `${what}: overtaken, looked at again with the next change`)
    else log.warn({ err: error }, `${what}: failed, tried again`)
    return false
  }
}
