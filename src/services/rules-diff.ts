// What a sync would change in one family, for people and programs: pure.
import type { IptablesTable } from '../iptables/iptables.ts'
import type { TableInput } from '../iptables/plan.ts'
import { appends } from '../iptables/restore-text.ts'
import type { Lines } from '../iptables/table-state.ts'
import type { Family } from '../net/address.ts'
import { type DiffLine, diffLines } from './line-diff.ts'

export interface RulesDiff {
  readonly family: Family
  readonly tables: readonly TableDiff[]
}

export interface TableDiff {
  readonly table: IptablesTable
  readonly chains: readonly ChainDiff[]
  /** Rules that built-in chains lack, as iptables takes them: "-I FORWARD 1 ... -j KUBE-FORWARD". */
  readonly jumps: readonly string[]
}

export interface ChainDiff {
  readonly chain: string
  /** Undefined where there is none. */
  readonly before: Lines | undefined
  readonly after: Lines | undefined
}

/** Tables and chains in which nothing differs are left out. */
export function rulesDiff(family: Family, inputs: ReadonlyMap<IptablesTable, TableInput>): RulesDiff {
  const tables = [...inputs].map(([table, input]) => tableDiff(table, input))
  return { family, tables: tables.filter(({ chains, jumps }) => chains.length + jumps.length > 0) }
}

function tableDiff(table: IptablesTable, { write, edit, remove, applied, jumps }: TableInput): TableDiff {
  const chains = [
    ...[...write].map(([chain, { lines }]) => ({ chain, before: applied.get(chain), after: lines })),
    ...[...edit].map(([chain, { deletes, appends }]) => {
      const before = applied.get(chain) ?? []
      return { chain, before, after: [...before.filter((rule) => !deletes.includes(rule)), ...appends] }
    }),
    ...remove.map((chain) => ({ chain, before: applied.get(chain), after: undefined })),
  ]
  return {
    table,
    chains: chains.toSorted((a, b) => (a.chain < b.chain ? -1 : 1)),
    jumps: [...jumps.deletes, ...jumps.inserts],
  }
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

function chainMark(before: Lines | undefined, after: Lines | undefined): DiffLine['mark'] {
  if (before === undefined) return '+'
  return after === undefined ? '-' : ' '
}

function ruleLine(chain: string, { mark, text }: DiffLine): string {
  return `${mark} ${appends(chain, text)}`
}
