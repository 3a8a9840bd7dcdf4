// The query of a write, parsed once.
import { isFields } from './kube-object.ts'
import { badRequest } from './status-error.ts'

export interface WriteOptions {
  /** Validate, fill in, answer; store nothing. */
  readonly dryRun: boolean
  /** What is done about fields that the kind does not have: refused, told, or nothing. They are never stored. */
  readonly fieldValidation: 'Strict' | 'Warn' | 'Ignore'
}

/** @param body of a deletion, which may say it too. @throws StatusError 400 */
export function parseWriteOptions(query: URLSearchParams, body?: unknown): WriteOptions {
  const said: unknown[] = isFields(body) && Array.isArray(body['dryRun']) ? body['dryRun'] : []
  const dryRun = [...query.getAll('dryRun'), ...said].filter((value) => value !== '')
  const other = dryRun.find((value) => value !== 'All')
  if (other !== undefined) throw badRequest(`Expected dryRun to be All, got \`${JSON.stringify(other)}\``)
  const fieldValidation = query.get('fieldValidation') || 'Warn'
  if (fieldValidation !== 'Strict' && fieldValidation !== 'Warn' && fieldValidation !== 'Ignore')
    throw badRequest(`Expected fieldValidation to be Strict, Warn or Ignore, got \`${fieldValidation}\``)
  return { dryRun: dryRun.length > 0, fieldValidation }
}
