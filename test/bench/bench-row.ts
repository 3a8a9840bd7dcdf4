// One row of a benchmark's table, as `npm run bench -- --json FILE` writes it.

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
  /** What the ratio must not exceed. */
  readonly budget: number | null
  readonly runs: number
}
