// Two lists of lines -> one, each line marked as kept, gone or come: what `diff` prints.

export interface DiffLine {
  readonly mark: ' ' | '-' | '+'
  readonly text: string
}

/**
 * As few marked lines as there can be where no line stands twice in a list, as in a chain; what is equal and moved is
 * gone in one place and comes in another.
 */
export function diffLines(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
  const lines: DiffLine[] = []
  let [from, to] = [0, 0]
  for (const [keptFrom, keptTo] of [...longestCommon(before, after), [before.length, after.length] as const]) {
    for (; from < keptFrom; from++) lines.push({ mark: '-', text: before[from] ?? '' })
    for (; to < keptTo; to++) lines.push({ mark: '+', text: after[to] ?? '' })
    if (from < before.length && to < after.length) lines.push({ mark: ' ', text: before[from] ?? '' })
    ;[from, to] = [keptFrom + 1, keptTo + 1]
  }
  return lines
}

type Pair = readonly [before: number, after: number]

/**
 * Positions of the lines that stay. Each line before has one partner at most, so that is the longest run of partners
 * that grows: found as in patience sorting.
 */
function longestCommon(before: readonly string[], after: readonly string[]): Pair[] {
  const places = new Map<string, number[]>()
  for (const [index, line] of after.entries()) places.set(line, [...(places.get(line) ?? []), index])
  const piles: { pair: Pair; previous: (typeof piles)[number] | undefined }[] = []
  for (const [index, line] of before.entries()) {
    const partner = places.get(line)?.shift()
    if (partner === undefined) continue
    // Most lines stay in order: a pile of their own, without a search.
    const at = (piles.at(-1)?.pair[1] ?? -1) < partner ? piles.length : piles.findIndex(({ pair }) => pair[1] > partner)
    piles[at] = { pair: [index, partner], previous: piles[at - 1] }
  }
  const run: Pair[] = []
  for (let card = piles.at(-1); card !== undefined; card = card.previous) run.unshift(card.pair)
  return run
}
