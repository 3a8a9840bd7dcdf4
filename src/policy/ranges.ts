// Sets of numbers as ranges: addresses and ports are both such sets to a policy, and both come to nft as intervals that
// neither overlap nor touch.

export interface Range {
  readonly first: bigint
  /** Itself included. */
  readonly last: bigint
}

/** The same numbers in the fewest ranges, in order. */
export function union(ranges: readonly Range[]): Range[] {
  const done: { first: bigint; last: bigint }[] = []
  for (const { first, last } of ranges.toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
    const end = done.at(-1)
    if (end === undefined || first > end.last + 1n) done.push({ first, last })
    else if (last > end.last) end.last = last
  }
  return done
}

/** What is in the ones and not in the others. */
export function difference(ranges: readonly Range[], without: readonly Range[]): Range[] {
  const holes = union(without)
  return union(ranges).flatMap(({ first, last }) => {
    const parts: Range[] = []
    let from = first
    for (const hole of holes) {
      if (hole.last < from || hole.first > last) continue
      if (hole.first > from) parts.push({ first: from, last: hole.first - 1n })
      from = hole.last + 1n
    }
    return from <= last ? [...parts, { first: from, last }] : parts
  })
}
