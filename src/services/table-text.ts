// Rules as a person reads them and an empty table takes them: chains with the jumps that lead to them, table by table.
import type { Chains, DesiredRules } from './rendered.ts'
import { type BaseJump, baseJumps } from './static-chains.ts'

/**
 * For iptables-restore on a node without any; what it prints back is the same, but for the order of chains and the
 * policies of the built-in ones.
 */
export function tableText({ filter, nat }: DesiredRules): string {
  return (
    [
      ['filter', filter],
      ['nat', nat],
    ] as const
  )
    .map(([table, chains]) => oneTable(table, chains))
    .join('')
}

function oneTable(table: BaseJump['table'], chains: Chains): string {
  const jumps = baseJumps.filter((jump) => jump.table === table).map(({ base, rule }) => `-A ${base} ${rule}`)
  const rules = [...chains].flatMap(([name, lines]) => lines.map((line) => `-A ${name} ${line}`))
  return [`*${table}`, ...[...chains.keys()].map((name) => `:${name} - [0:0]`), ...jumps, ...rules, 'COMMIT', ''].join(
    '\n',
  )
}
