// Explicit nulls in what people and programs write: `externalIPs: null` from a chart, `items: null` from a Go program.
// The API server decodes a null field as an absent one (encoding/json leaves the zero value), and every reader here
// does too.

/**
 * Removes null fields at every depth. Only a null value in `matchLabels` stays, because its reader has to refuse it:
 * a selector without it would select more.
 *
 * @param value a JSON value; it is not changed
 * @param dropped receives the path of each null item of a list, such as "spec.ports[0]", which is removed. Without it
 * null items stay, for a reader in which an item less would admit more
 * @returns the same value where nothing is removed, else a copy of the parts that change
 */
export function withoutNulls<T>(value: T, dropped?: (path: string) => void): T {
  return clean(value, '', dropped) as T
}

type Dropped = ((path: string) => void) | undefined

/** Bookkeeping of the API server (metadata.managedFields): the largest part of most objects, and nothing reads it. */
const unread = 'managedFields'
const refusedByItsReader = 'matchLabels'

function clean(value: unknown, path: string, dropped: Dropped): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Array.isArray(value) ? cleanList(value, path, dropped) : cleanFields(value, path, dropped)
}

function cleanFields(fields: object, path: string, dropped: Dropped): object {
  let copy: Record<string, unknown> | undefined
  for (const [name, value] of Object.entries(fields) as [string, unknown][]) {
    if (typeof value !== 'object' || name === unread) continue
    if (name === refusedByItsReader && value !== null) continue
    const cleaned = value === null ? undefined : clean(value, path === '' ? name : `${path}.${name}`, dropped)
    if (cleaned === value) continue
    copy ??= { ...fields }
    if (cleaned === undefined) delete copy[name]
    else copy[name] = cleaned
  }
  return copy ?? fields
}

function cleanList(items: readonly unknown[], path: string, dropped: Dropped): readonly unknown[] {
  const cleaned = items.map((item, index) => clean(item, `${path}[${index}]`, dropped))
  const kept =
    dropped === undefined
      ? cleaned
      : cleaned.filter((item, index) => {
          if (item === null) dropped(`${path}[${index}]`)
          return item !== null
        })
  return kept.length === items.length && kept.every((item, index) => item === items[index]) ? items : kept
}
