// Lists in API objects, parsed entry by entry.

/** The entries that parse, frozen and in their order; each other one goes to `leftOut`, with the parser's reason. */
export function parseEach<Raw, T>(items: readonly Raw[], parse: (item: Raw) => T, leftOut: (item: Raw, why: string) => void): readonly T[] {
  const values: T[] = []
  for (const item of items) {
    try {
      values.push(parse(item))
    } catch (error) {
      leftOut(item, error instanceof Error ? error.message : String(error))
    }
  }
  return Object.freeze(values)
}
