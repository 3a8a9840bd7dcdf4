// JSON from the runtime becomes values here; whatever does not fit is the same kind of error, with its place in the document.
import type { z } from 'zod'
import { CniError, cniCodes } from './cni-error.ts'

/** @throws {CniError} invalidConfig with the first thing that does not fit. */
export function parseShape<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new CniError(cniCodes.invalidConfig, `${[where, ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'invalid'}`)
}

/** A parser of src/net on a value from the runtime. @throws {CniError} with the code and the place, where it throws TypeError. */
export function parseValue<T>(parse: (text: string) => T, text: string, where: string, code: CniError['code'] = cniCodes.invalidConfig): T {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new CniError(code, `${where}: ${error.message}`, { cause: error })
  }
}
