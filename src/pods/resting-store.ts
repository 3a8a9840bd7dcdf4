// The resting addresses on disk, so that a restart does not hand out what a pod held a second ago.
import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import * as z from 'zod'
import { parseAddress } from '../net/address.ts'
import { writeDurably } from '../kernel/durable-file.ts'
import type { RestingAddress } from './ipam.ts'

const format = z.array(z.object({ address: z.string().transform(parseAddress), since: z.number() }))

/**
 * An absent file is a first start. A damaged one costs only the rest: it is reported and overwritten by the next DEL.
 */
export function loadResting(path: string, log: Logger): RestingAddress[] {
  try {
    return format.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      log.warn({ error }, `${path} is unreadable; addresses freed just before the restart may be given again at once`)
    return []
  }
}

export function saveResting(path: string, resting: readonly RestingAddress[]): void {
  writeDurably(path, JSON.stringify(resting))
}
