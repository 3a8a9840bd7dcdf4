// One row of a benchmark's table, as `npm run bench -- --json FILE` writes it.
import { median, quantile } from './statistics.ts'

export interface BenchRow {
  /** What was measured, and how where that is not plain. */
  readonly name: string
  /** Median of the runs. */
  readonly ours: number
  /** Median of the peer's runs, interleaved with ours; null where there is no peer. */
  readonly peer: number | null
  readonly unit: string
  /** ours / peer. */
  readonly ratio: number | null
  /** What the ratio must not exceed; where there is no peer, what ours must not. */
  readonly budget: number | null
  readonly runs: number
  /** Half of the runs lie between these, ours and the peer's. */
  readonly spread?: { readonly ours: readonly [number, number]; readonly peer: readonly [number, number] | null }
}

/** The medians of two samples, taken in turn. */
export function rowOf({
  name,
  unit,
  ours,
  peer,
  budget = null,
}: {
  name: string
  unit: string
  ours: readonly number[]
  peer?: readonly number[]
  budget?: number | null
}): BenchRow {
  const [mine, theirs] = [median(ours), peer === undefined ? null : median(peer)]
  return {
    name,
    ours: mine,
    peer: theirs,
    unit,
    ratio: theirs === null ? null : mine / theirs,
    budget,
    runs: ours.length,
    spread: { ours: middleHalf(ours), peer: peer === undefined ? null : middleHalf(peer) },
  }
}

function middleHalf(sample: readonly number[]): readonly [number, number] {
  return [quantile(sample, 0.25), quantile(sample, 0.75)]
}
