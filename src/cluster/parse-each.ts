// Lists of text in API objects, parsed entry by entry.

/** The entries that parse, frozen and in their order; each other one goes to `leftOut`, with the parser's reason. */
export function parseEach<T>(texts: readonly string[], parse: (text: string) => T, leftOut: (text: string, why: string) => void): readonly T[] {
  const values: T[] = []
  for (const text of texts) {
    try {
      values.push(parse(text))
    } catch (error) {
      leftOut(text, error instanceof Error ? error.message : String(error))
    }
  }
  return Object.freeze(values)
}
