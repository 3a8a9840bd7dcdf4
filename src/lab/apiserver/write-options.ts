// Parses the query of a write.
import { isFields } from './kube-object.ts'
import { badRequest } from './status-error.ts'

export interface WriteOptions {
  /** Do everything but the write. */
  readonly dryRun: boolean
  /** Whether unknown fields are an error, a warning or ignored. They are never stored. */
  readonly fieldValidation: 'Strict' | 'Warn' | 'Ignore'
}

/**
 * Parses the options.
 * @param body the body of a DELETE, which may contain dryRun too.
 * @throws StatusError 400
 */
export function parseWriteOptions(query: URLSearchParams, body?: unknown): WriteOptions {
  const inBody: unknown[] = isFields(body) && Array.isArray(body['dryRun']) ? body['dryRun'] : []
  const dryRun = [...query.getAll('dryRun'), ...inBody].filter((value) => value !== '')
  const other = dryRun.find((value) => value !== 'All')
  if (other !== undefined) throw badRequest(`Expected dryRun to be All, got \`${JSON.stringify(other)}\``)
  const fieldValidation = query.get('fieldValidation') || 'Warn'
  if (fieldValidation !== 'Strict' && fieldValidation !== 'Warn' && fieldValidation !== 'Ignore')
    throw badRequest(`Expected fieldValidation to be Strict, Warn or Ignore, got \`${fieldValidation}\``)
  return { dryRun: dryRun.length > 0, fieldValidation }
}
