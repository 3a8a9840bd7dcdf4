// JSON from the runtime becomes values here; whatever does not fit is the same kind of error, with its place in the
// document and what stands there.
import type * as z from 'zod'
import { CniError, cniCodes } from './cni-error.ts'

/**
 * @param schema its messages say what was expected: "a whole number from 0 to 65535".
 * @throws {CniError} invalidConfig with the first thing that does not fit.
 */
export function parseShape<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const { place, found } = locate(value, where, issue?.path ?? [])
  throw new CniError(
    cniCodes.invalidConfig,
    `Expected ${place} to be ${issue?.message ?? 'something else'}, got ${describeValue(found)}`,
  )
}

/**
 * A parser of src/net on a value from the runtime.
 * @throws {CniError} with the code and the place, where it throws TypeError.
 */
export function parseValue<T>(
  parse: (text: string) => T,
  text: string,
  where: string,
  code: CniError['code'] = cniCodes.invalidConfig,
): T {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new CniError(code, `${where}: ${error.message}`, { cause: error })
  }
}

/**
 * For an error's sentence: short whatever it is, and never looked into, since it may be nested as deep as a megabyte
 * allows.
 */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object'
  return `\`${typeof value === 'string' ? value.slice(0, 80) : JSON.stringify(value)}\``
}

/** The value at a schema's path, and the path as the runtime spelled it: the schema may have lower-cased the keys. */
function locate(document: unknown, where: string, path: readonly PropertyKey[]): { place: string; found: unknown } {
  let [place, found] = [where, document]
  for (const step of path) {
    const entry =
      typeof found === 'object' && found !== null
        ? Object.entries(found).findLast(([key]) => key.toLowerCase() === String(step).toLowerCase())
        : undefined
    place += `.${entry?.[0] ?? String(step)}`
    found = entry?.[1]
  }
  return { place, found }
}
