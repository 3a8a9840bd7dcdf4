// Values of API objects and manifests before anything is known about their types.

/** Shows a value in a sentence, as JSON and cut short. */
export function shown(value: unknown): string {
  return (typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')).slice(0, 200)
}

/** Reads an object. @throws {TypeError} for anything else */
export function asFields(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`Expected fields, got \`${shown(value)}\``)
  return value as Readonly<Record<string, unknown>>
}

/** Reads text. @throws {TypeError} for anything else */
export function asText(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`Expected text, got \`${shown(value)}\``)
  return value
}

/**
 * Reads a list, which may be absent.
 * @param field names it in the error: "spec.externalIPs"
 * @throws {TypeError} for anything else
 */
export function listOf<T>(value: readonly T[] | undefined, field?: string): readonly T[]
export function listOf(value: unknown, field?: string): readonly unknown[]
export function listOf(value: unknown, field?: string): readonly unknown[] {
  if (value === undefined) return []
  if (!Array.isArray(value))
    throw new TypeError(`Expected ${field === undefined ? '' : `${field} to be `}a list, got \`${shown(value)}\``)
  return value
}
