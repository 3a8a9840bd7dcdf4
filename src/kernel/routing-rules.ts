// Rules that choose a routing table, whoever made them. Rare: for what cleans up. We make none.
import { z } from 'zod'
import { addressBits, type Family, parseAddress } from '../net/address.ts'
import { type Cidr, cidrOf } from '../net/cidr.ts'
import { parseList } from './read-json.ts'
import { runProgram } from './run.ts'

export interface PolicyRule {
  readonly family: Family
  readonly priority: number
  /** Undefined for a rule about packets from anywhere. */
  readonly source: Cidr | undefined
  /** The number, also where rt_tables has a name for it. */
  readonly table: number
}

const ruleShape = z.object({
  priority: z.number(),
  src: z.string(),
  srclen: z.number().optional(),
  table: z.coerce.number().optional(),
})

/** `ip -j -N rule show` */
export async function readPolicyRules(family: Family): Promise<readonly PolicyRule[]> {
  const args = ['-j', '-N', `-${family}`, 'rule', 'show']
  const { stdout } = await runProgram('ip', args)
  return parseList(`ip ${args.join(' ')}`, stdout, ruleShape).map(({ priority, src, srclen, table = 0 }) => ({
    family,
    priority,
    table,
    source: src === 'all' ? undefined : cidrOf(parseAddress(src), srclen ?? addressBits(family)),
  }))
}

/** Whether a routing table holds a route: one that never did is none. */
export async function hasRoutes(family: Family, table: number): Promise<boolean> {
  const { stdout } = await runProgram('ip', ['-N', `-${family}`, 'route', 'show', 'table', String(table)], {
    accept: ['missing'],
  })
  return stdout.trim() !== ''
}
