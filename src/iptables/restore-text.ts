// Text for iptables-restore --noflush: the only place that builds it.
import type { IptablesTable } from './iptables.ts'
import { formatRule, type Rule } from './rule.ts'

/** What happens to one table: all of it or nothing. */
export interface TableText {
  readonly table: IptablesTable
  /** Chains that are created, or emptied where they exist. */
  readonly declare: readonly string[]
  /** Lines of {@link appends}, {@link inserts}, {@link deletes} and {@link removes}, in the order in which they are run. */
  readonly lines: readonly string[]
}

/** Builds the text; tables take effect one after the other. */
export function restoreText(tables: readonly TableText[]): string {
  let text = ''
  for (const { table, declare, lines } of tables) {
    text += `*${table}\n`
    for (const chain of declare) text += `:${chain} - [0:0]\n`
    for (const line of lines) text += `${line}\n`
    text += 'COMMIT\n'
  }
  return text
}

/** @param rule as text, behind `-A CHAIN ` */
export function appends(chain: string, rule: string): string {
  return `-A ${chain} ${rule}`
}

/** @param position 1 is the top */
export function inserts(chain: string, position: number, rule: string): string {
  return `-I ${chain} ${position} ${rule}`
}

/** Deletes the first rule that reads like this. */
export function deletes(chain: string, rule: string): string {
  return `-D ${chain} ${rule}`
}

/** Returns the line that deletes a rule. @param line "-A CHAIN ..." as iptables prints it */
export function deletionOf(line: string): string {
  return line.replace(/^-A /, '-D ')
}

/** Returns the line that fails where a rule is not there. @param line "-A CHAIN ..." as iptables prints it */
export function checkOf(line: string): string {
  return line.replace(/^-A /, '-C ')
}

/** Removes a chain that is empty, and that no rule leads to. */
export function removes(chain: string): string {
  return `-X ${chain}`
}

/** Formats rules as lines of their chain. */
export function ruleLines(chain: string, rules: readonly Rule[]): string[] {
  return rules.map((rule) => appends(chain, formatRule(rule)))
}

/**
 * Translates a text into commands that a person could run one after the other: `:CHAIN`, which empties a chain that
 * exists, becomes -F.
 * @param program "iptables-nft"
 */
export function restoreCommands(program: string, text: string): string[] {
  let table = ''
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1)
    if (line === '' || line === 'COMMIT' || line.startsWith('*')) return []
    const emptied = /^:(\S+)/.exec(line)?.[1]
    // Inside the double quotes that iptables prints, these two mean something to a shell.
    return [
      `${program} -t ${table} ${emptied === undefined ? line.replaceAll(/[$`]/g, String.raw`\$&`) : `-F ${emptied}`}`,
    ]
  })
}
