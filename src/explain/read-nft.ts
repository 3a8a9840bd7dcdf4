// What other programs keep in nftables, for the doctor. nft may crash on a table that a newer nft made: then the doctor
// names that table and goes on with the others.
import { CommandError } from '../kernel/command-error.ts'
import { type Kernel, ourNftTable } from '../kernel/kernel.ts'
import { type NftTable, readNftTables } from '../kernel/nft-tables.ts'
import type { NftObject } from '../kernel/nftables.ts'
import { runInShell } from '../kernel/shell-command.ts'
import { dropsOf } from './nft-drops.ts'
import type { Firewall, NftFacts } from './node-facts.ts'

/** Those that iptables keeps, which it reads itself and which may hold tens of thousands of rules. */
const iptablesTables = ['filter', 'mangle', 'nat', 'raw', 'security'].flatMap((table) => [
  `ip ${table}`,
  `ip6 ${table}`,
])

/**
 * Lists every table of other programs.
 * @param names of the bridge and the pod networks: a table that names one of them was written with pods in mind
 * @returns undefined where nft is not installed
 * @throws {CommandError} where the kernel does not list its tables
 */
export async function readNft(kernel: Kernel, names: readonly string[]): Promise<NftFacts | undefined> {
  const version = await nftVersion(kernel)
  if (version === undefined) return undefined
  const tables = (await readNftTables(kernel)).filter(
    (table) => table.name !== ourNftTable && !iptablesTables.includes(tableText(table)),
  )
  const unread = new Map<string, string>()
  const firewalls: Firewall[] = []
  for (const table of tables) {
    const objects = await list(kernel, tableText(table))
    if (objects instanceof CommandError) unread.set(tableText(table), objects.stderr)
    else if (objects.some(({ chain }) => chain?.['hook'] === 'forward'))
      firewalls.push(firewallOf(tableText(table), objects, names))
  }
  return { version, tables, unread, firewalls }
}

/** @returns "inet firewalld", as nft takes it */
export function tableText({ family, name }: NftTable): string {
  return `${family} ${name}`
}

function firewallOf(table: string, objects: readonly NftObject[], names: readonly string[]): Firewall {
  const text = JSON.stringify(objects)
  return {
    table,
    drops: dropsOf(objects),
    knowsPods: names.some((name) => text.includes(`"${name.split('/')[0]}"`)),
  }
}

async function list(kernel: Kernel, table: string): Promise<readonly NftObject[] | CommandError> {
  try {
    return (await kernel.listNft(`table ${table}`)) ?? []
  } catch (error) {
    if (error instanceof CommandError) return error
    throw error
  }
}

async function nftVersion({ shell }: Kernel): Promise<readonly number[] | undefined> {
  try {
    const { stdout } = await runInShell(shell.slow, ['nft', '--version'], shell)
    return (/v(\d+(?:\.\d+)*)/.exec(stdout)?.[1] ?? '').split('.').map(Number)
  } catch (error) {
    if (error instanceof CommandError && error.kind === 'not-installed') return undefined
    throw error
  }
}
