// Which tables iptables-legacy has. Asking the program itself would make them.
import { readFileSync } from 'node:fs'
import type { Family } from '../net/address.ts'

/** Empty where the kernel has no iptables of its own. */
export function legacyTables(family: Family): readonly string[] {
  try {
    return readFileSync(family === 4 ? '/proc/net/ip_tables_names' : '/proc/net/ip6_tables_names', 'utf8')
      .split('\n')
      .filter(Boolean)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
