// What somebody may have meant who asks for a name that is not there.

const mostNames = 3

/** @param names "namespace/name", or a name alone. @returns the nearest few, nearest first */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  const close = [...new Set(names)].flatMap((name) => {
    const steps = Math.min(distance(wanted, name), distance(wanted, bare(name)))
    const part = bare(wanted).length >= 3 && (bare(name).includes(bare(wanted)) || bare(wanted).includes(bare(name)))
    return steps <= Math.max(2, wanted.length / 3) || part ? [{ name, steps }] : []
  })
  return close.toSorted((a, b) => a.steps - b.steps || (a.name < b.name ? -1 : 1)).slice(0, mostNames).map(({ name }) => name)
}

function bare(name: string): string {
  return name.slice(name.indexOf('/') + 1)
}

/** How many letters to change, add or leave out (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, letter] of Array.from(a).entries()) {
    const next = [i + 1]
    for (let j = 1; j <= b.length; j++) next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (letter === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length] ?? 0
}
