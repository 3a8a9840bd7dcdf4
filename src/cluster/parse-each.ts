// Lists in API objects, parsed entry by entry.
import { MisfitError } from './misfit-error.ts'

/**
 * The entries that parse, frozen and in their order; each other one goes to `leftOut`, with what the parser says of it.
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
        error instanceof MisfitError ? error.reason : undefined,
      )
    }
  }
  return Object.freeze(values)
}
