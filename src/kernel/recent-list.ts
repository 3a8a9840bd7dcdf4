// Lists of addresses that the kernel's xt_recent keeps, one a file in /proc/net/xt_recent of each network namespace. A
// list exists as long as a rule of iptables names it.
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { CommandError } from './command-error.ts'
import type { NamespaceShell } from './namespace-shell.ts'
import { runInShell } from './shell-command.ts'

/**
 * Notes that the addresses were seen now.
 * @param list its name, letters alone
 * @returns false where no rule names the list
 * @throws {CommandError} where the file cannot be written
 */
export async function renewRecentList(
  { enter, quick }: NamespaceShell,
  list: string,
  addresses: readonly string[],
): Promise<boolean> {
  const path = `/proc/net/xt_recent/${list}`
  // One address a write.
  for (const address of addresses) {
    try {
      if (enter.length === 0) await writeFile(path, `+${address}\n`, { flag: 'r+' })
      else await runInShell(quick, ['sh', '-c', `[ ! -e ${path} ] || echo +${address} >${path}`], { enter })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      if (error instanceof CommandError) throw error
      throw new CommandError({
        kind: 'other',
        command: `echo +${address} >${path}`,
        stderr: error instanceof Error ? error.message : String(error),
        cause: error,
      })
    }
  }
  return true
}

/** Checks for xt_recent, which the kernel loads with the first rule that needs it. */
export function hasRecentLists(): boolean {
  return existsSync('/proc/net/xt_recent')
}
