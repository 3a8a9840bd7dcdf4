// What somebody may have meant who asks for a name that is not there.

const mostNames = 3

/** @param names "namespace/name", or a name alone. @returns the nearest few, nearest first */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  const close = [...new Set(names)].flatMap((name) => {
    const steps = Math.min(distance(wanted, name), distance(wanted, bare(name)))
    const [short = '', long = ''] = [bare(wanted), bare(name)].toSorted((a, b) => a.length - b.length)
    const part = short.length >= 3 && long.includes(short)
    return steps <= Math.max(1, wanted.length / 4) || part ? [{ name, steps }] : []
  })
  return close
    .toSorted((a, b) => a.steps - b.steps || (a.name < b.name ? -1 : 1))
    .slice(0, mostNames)
    .map(({ name }) => name)
}

function bare(name: string): string {
  return name.slice(name.indexOf('/') + 1)
}

/** How many letters to change, add, leave out or exchange with the next (Damerau and Levenshtein, each place once). */
function distance(a: string, b: string): number {
  let [before, row] = [[] as number[], Array.from({ length: b.length + 1 }, (_, i) => i)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const exchanged =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? 0) + 1 : changed
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, changed, exchanged))
    }
    ;[before, row] = [row, next]
  }
  return row[b.length] ?? 0
}
