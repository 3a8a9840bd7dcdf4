// The tables of nftables, whoever made them, and by which nft: for what removes other programs' tables or names them.
import { join } from 'node:path'
import type { Kernel } from './kernel.ts'
import { builtPrograms } from './programs.ts'
import { runInShell } from './shell-command.ts'

export interface NftTable {
  /** "ip", "ip6", "inet", ... */
  readonly family: string
  readonly name: string
  /** The version of the nft that made the table, [1, 1, 7, 0]; nft 1.1.3 and older leave none. */
  readonly madeBy?: readonly number[]
}

/**
 * Reads the tables from the kernel by a program of our own (cmd/nft-tables): `nft list tables` reads sets too, and
 * crashes where a newer nft wrote one.
 * @returns none where the kernel has no nftables
 * @throws {CommandError}
 */
export async function readNftTables({ shell }: Kernel): Promise<readonly NftTable[]> {
  const { stdout } = await runInShell(shell.slow, [join(builtPrograms, 'nft-tables')], shell)
  return stdout.split('\n').filter(Boolean).map(parseTable)
}

function parseTable(line: string): NftTable {
  const [, family = '', version = '', name = ''] = /^(\S+) (\S+) (.*)$/.exec(line) ?? []
  return { family, name, ...(version !== '-' && { madeBy: version.split('.').map(Number) }) }
}
