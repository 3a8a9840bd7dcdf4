// Parses lists in API objects entry by entry, so that one bad entry does not cost the others.

/** An entry that parses but must not be used, with a reason of its own for the metric of problems. */
export class RejectedEntryError extends TypeError {
  override readonly name = 'RejectedEntryError'
  /** As in {@link Problem}. */
  readonly reason: string

  constructor(message: string, reason: string) {
    super(message)
    this.reason = reason
  }
}

/**
 * Parses the entries of a list.
 * @param leftOut receives each entry that does not parse, the message of the error and its reason, if it has one.
 * @returns the parsed entries, frozen and in order.
 */
export function parseEach<Raw, T>(
  items: readonly Raw[],
  parse: (item: Raw) => T,
  leftOut: (item: Raw, why: string, reason: string | undefined) => void,
): readonly T[] {
  const values: T[] = []
  for (const item of items) {
    try {
      values.push(parse(item))
    } catch (error) {
      leftOut(
        item,
        error instanceof Error ? error.message : String(error),
        error instanceof RejectedEntryError ? error.reason : undefined,
      )
    }
  }
  return Object.freeze(values)
}
