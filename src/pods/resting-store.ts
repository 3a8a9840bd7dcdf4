// The resting addresses on disk, so that a restart does not hand out what a pod held a second ago.
import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import * as z from 'zod'
import { parseAddress } from '../net/address.ts'
import { writeDurably } from '../kernel/durable-file.ts'
import type { RestingAddress } from './ipam.ts'

const format = z.array(z.object({ address: z.string().transform(parseAddress), since: z.number() }))

/**
 * @returns undefined for a file that is absent, as at a first start, or damaged: that is reported, and the next DEL
 * overwrites it.
 */
export function loadResting(path: string, log: Logger): RestingAddress[] | undefined {
  try {
    return format.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      log.warn({ error }, `${path} is unreadable; addresses freed just before the restart may be given again at once`)
    return undefined
  }
}

export function saveResting(path: string, resting: readonly RestingAddress[]): void {
  writeDurably(path, JSON.stringify(resting))
}
