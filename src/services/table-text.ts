// Rules as a person reads them and an empty table takes them: chains with the jumps that lead to them, table by table.
import type { IptablesTable } from '../iptables/iptables.ts'
import { restoreText, ruleLines } from '../iptables/restore-text.ts'
import type { Chains } from '../iptables/rule.ts'
import type { DesiredRules } from './rendered.ts'
import { baseJumps } from './static-chains.ts'

/**
 * For iptables-restore on a node without any; what it prints back is the same, but for the order of chains and the
 * policies of the built-in ones.
 */
export function tableText({ filter, nat }: DesiredRules): string {
  return restoreText([
    { table: 'filter', declare: [...filter.keys()], lines: linesOf('filter', filter) },
    { table: 'nat', declare: [...nat.keys()], lines: linesOf('nat', nat) },
  ])
}

function linesOf(table: IptablesTable, chains: Chains): string[] {
  const jumps = baseJumps.filter((jump) => jump.table === table)
  return [
    ...jumps.flatMap(({ base, rule }) => ruleLines(base, [rule])),
    ...[...chains].flatMap(([chain, rules]) => ruleLines(chain, rules)),
  ]
}
