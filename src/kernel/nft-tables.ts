// Tables of nftables, whoever made them. Rare: for what cleans up.
import { CommandError } from './command-error.ts'
import type { Kernel } from './kernel.ts'

export interface NftTable {
  /** "ip", "ip6", "inet", ... */
  readonly family: string
  readonly name: string
}

/** None where there is no nft. @throws {CommandError} */
export async function readNftTables(kernel: Kernel): Promise<readonly NftTable[]> {
  try {
    const objects = (await kernel.listNft('tables')) ?? []
    return objects.flatMap(({ table }) =>
      table === undefined ? [] : [{ family: String(table['family']), name: String(table['name']) }],
    )
  } catch (error) {
    if (error instanceof CommandError && error.kind === 'not-installed') return []
    throw error
  }
}
