// What a sync would change in one family, for people and programs: pure.
import type { Family } from '../net/address.ts'
import { type DiffLine, diffLines } from './line-diff.ts'
import type { Rules } from './rendered.ts'
import type { Table } from './sync/ours.ts'
import type { TableInput } from './sync/plan.ts'

export interface RulesDiff {
  readonly family: Family
  readonly tables: readonly TableDiff[]
}

export interface TableDiff {
  readonly table: Table
  readonly chains: readonly ChainDiff[]
  /** Rules that built-in chains lack, as iptables takes them: "-I FORWARD 1 ... -j KUBE-FORWARD". */
  readonly jumps: readonly string[]
}

export interface ChainDiff {
  readonly chain: string
  /** Undefined where there is none. */
  readonly before: Rules | undefined
  readonly after: Rules | undefined
}

/** Tables and chains in which nothing differs are left out. */
export function rulesDiff(family: Family, inputs: Readonly<Record<Table, TableInput>>): RulesDiff {
  const tables = (['mangle', 'filter', 'nat'] as const).map((table) => tableDiff(table, inputs[table]))
  return { family, tables: tables.filter(({ chains, jumps }) => chains.length + jumps.length > 0) }
}

function tableDiff(table: Table, { write, remove, applied, jumps }: TableInput): TableDiff {
  const chains = [
    ...[...write].map(([chain, after]) => ({ chain, before: applied.get(chain), after })),
    ...remove.map((chain) => ({ chain, before: applied.get(chain), after: undefined })),
  ]
  return { table, chains: chains.toSorted((a, b) => (a.chain < b.chain ? -1 : 1)), jumps }
}

/** Rules that stay, on either side of one that does not. */
const context = 2

/**
 * Words of iptables-save behind a mark: `+` comes, `-` goes. Of chains that change, what is far from any change is left
 * out.
 */
export function diffText({ family, tables }: RulesDiff): string {
  const ending = family === 4 ? '' : ' (IPv6)'
  return tables
    .map(({ table, chains, jumps }) =>
      [`  *${table}${ending}`, ...chains.flatMap(chainLines), ...jumps.map((jump) => `+ ${jump}`), ''].join('\n'),
    )
    .join('')
}

function chainLines({ chain, before, after }: ChainDiff): string[] {
  const lines = diffLines(before ?? [], after ?? [])
  const near = (index: number): boolean =>
    lines.slice(Math.max(0, index - context), index + context + 1).some(({ mark }) => mark !== ' ')
  const shown = lines.flatMap((line, index) => {
    if (near(index)) return [ruleLine(chain, line)]
    return index === 0 || near(index - 1) ? ['  ...'] : []
  })
  return [`${chainMark(before, after)} :${chain}`, ...shown]
}

function chainMark(before: Rules | undefined, after: Rules | undefined): DiffLine['mark'] {
  if (before === undefined) return '+'
  return after === undefined ? '-' : ' '
}

function ruleLine(chain: string, { mark, text }: DiffLine): string {
  return `${mark} -A ${chain} ${text}`
}
