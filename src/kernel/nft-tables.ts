// Tables of nftables, whoever made them. Rare: for what cleans up.
import { z } from 'zod'
import { CommandError } from './command-error.ts'
import { runProgram } from './run.ts'

export interface NftTable {
  /** "ip", "ip6", "inet", ... */
  readonly family: string
  readonly name: string
}

const answer = z.object({ nftables: z.array(z.object({ table: z.object({ family: z.string(), name: z.string() }).optional() })) })

/** `nft -j list tables`; none where there is no nft. */
export async function readNftTables(): Promise<readonly NftTable[]> {
  try {
    const { stdout } = await runProgram('nft', ['-j', 'list', 'tables'])
    return answer.parse(JSON.parse(stdout)).nftables.flatMap(({ table }) => table ?? [])
  } catch (error) {
    if (error instanceof CommandError && error.kind === 'not-installed') return []
    throw error
  }
}
