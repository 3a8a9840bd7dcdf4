// Cells of the reachability matrix, and where two of them differ.
import type { Protocol } from './network-policy.ts'
import type { Outcome } from './prober.ts'

export interface Cell {
  /** Names of ends: a pod's is NAMESPACE/NAME. */
  readonly from: string
  readonly to: string
  /** Through the Service of the pod that is asked. */
  readonly service: boolean
  readonly port: number
  readonly protocol: Protocol
}

export interface Verdict {
  readonly cell: Cell
  /** The place that has to answer; undefined where nobody may be reached. */
  readonly expected: string | undefined
  readonly outcome: Outcome
}

/** A connection to the right pod where one is allowed; where none is, not even its first packet may have arrived. */
export function isRight({ expected, outcome }: Verdict): boolean {
  if (expected !== undefined) return typeof outcome === 'object' && outcome.open === expected
  return outcome === 'silent' || outcome === 'refused'
}

const legend =
  '. as it should be   X open but forbidden   x got in, but not its answer back   o allowed but closed   ? answered by another pod'

/**
 * The cells that differ, as tables of sources (rows) and destinations (columns), one for each port that differs; empty
 * where none does.
 */
export function tableOfDifferences(verdicts: readonly Verdict[]): string {
  const wrong = verdicts.filter((verdict) => !isRight(verdict))
  if (wrong.length === 0) return ''
  const ends = [...new Set(verdicts.flatMap(({ cell }) => [cell.from, cell.to]))]
  const tables = Map.groupBy(wrong, ({ cell }) => planeOf(cell))
  const width = Math.max(...ends.map(({ length }) => length))
  const drawn = Array.from(tables, ([plane, differing]) => {
    const marks = new Map(differing.map((verdict) => [`${verdict.cell.from} ${verdict.cell.to}`, markOf(verdict)]))
    const rows = ends.map(
      (from) =>
        `${from.padEnd(width)} ${ends.map((to) => (marks.get(`${from} ${to}`) ?? '.').padEnd(to.length)).join(' ')}`,
    )
    return [`${plane}: ${differing.length} cells differ`, `${' '.repeat(width)} ${ends.join(' ')}`, ...rows].join('\n')
  })
  return [`${wrong.length} of ${verdicts.length} cells differ (${legend})`, ...drawn].join('\n\n')
}

function planeOf({ service, port, protocol }: Cell): string {
  return `${protocol} ${port}${service ? ' through Services' : ''}`
}

function markOf({ expected, outcome }: Verdict): string {
  if (expected !== undefined) return typeof outcome === 'object' ? '?' : 'o'
  return outcome === 'lost' ? 'x' : 'X'
}
