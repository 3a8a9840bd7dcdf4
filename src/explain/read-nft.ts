// Reads the nftables tables of other programs for the doctor. nft may crash on a table that a newer nft created; the
// doctor then names the table and continues with the others.
import { CommandError } from '../kernel/command-error.ts'
import { type Kernel, ourNftTable } from '../kernel/kernel.ts'
import { type NftTable, readNftTables } from '../kernel/nft-tables.ts'
import type { NftFields, NftObject } from '../kernel/nftables.ts'
import { runInShell } from '../kernel/shell-command.ts'
import type { Firewall, NftFacts } from './node-facts.ts'

/** iptables-nft's own tables. They are read with iptables, and may have tens of thousands of rules. */
const iptablesTables = ['filter', 'mangle', 'nat', 'raw', 'security'].flatMap((table) => [
  `ip ${table}`,
  `ip6 ${table}`,
])

/**
 * Lists every table of other programs.
 * @param names the bridge and the pod networks; a table that mentions one of them was written with pods in mind.
 * @returns undefined when nft is not installed.
 * @throws {CommandError} when the kernel does not list its tables.
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

/** Returns "inet firewalld", the form that nft takes. */
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

/**
 * Finds what a table drops on the forward hook without looking at the packet: chain policies, and rules without a
 * condition.
 * @param objects all objects of the table.
 * @returns a few words for each.
 */
export function dropsOf(objects: readonly NftObject[]): string[] {
  const chains = objects
    .flatMap(({ chain }): NftFields[] => (chain === undefined ? [] : [chain]))
    .filter(({ hook }) => hook === 'forward')
  const rules = objects
    .flatMap(({ rule }): NftFields[] => (rule === undefined ? [] : [rule]))
    .filter((rule) => chains.some(({ name }) => name === rule['chain']) && isDrop(rule))
  return [
    ...chains.filter(({ policy }) => policy === 'drop').map(({ name }) => `policy of chain ${String(name)}`),
    ...rules.map(({ chain }) => `a rule of chain ${String(chain)}`),
  ]
}

function isDrop({ expr }: NftFields): boolean {
  const parts = (Array.isArray(expr) ? expr : []) as NftFields[]
  return (
    parts.some((part) => 'drop' in part || 'reject' in part) &&
    parts.every((part) => !('match' in part) && !('limit' in part))
  )
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
