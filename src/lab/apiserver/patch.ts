// JSON Merge Patch (RFC 7386) and JSON Patch (RFC 6902). Pure: the given document is never changed.
import { isDeepStrictEqual } from 'node:util'
import { isFields } from './kube-object.ts'
import { badRequest, StatusError } from './status-error.ts'

/** Applies a merge patch (RFC 7386): null removes, objects are merged, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch
  const result = isFields(target) ? { ...target } : {}
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete result[field]
    else result[field] = mergePatch(result[field], value)
  }
  return result
}

/**
 * Applies a JSON patch (RFC 6902).
 * @throws StatusError 400 for a malformed operation, 422 for one that fails on this document, such as `test`.
 */
export function jsonPatch(target: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw badRequest('Expected a JSON patch to be a list of operations')
  let result = structuredClone(target)
  for (const operation of operations) result = applyOperation(result, operation)
  return result
}

function applyOperation(document: unknown, operation: unknown): unknown {
  if (!isFields(operation) || typeof operation['op'] !== 'string')
    throw badRequest(`Expected a JSON patch operation with op and path, got \`${JSON.stringify(operation)}\``)
  const { op, value } = operation
  const path = pointer(operation['path'])
  switch (op) {
    case 'add':
      return insert(document, path, structuredClone(value))
    case 'replace':
      if (path.length === 0) return structuredClone(value)
      return insert(remove(document, path), path, structuredClone(value))
    case 'remove':
      return remove(document, path)
    case 'copy':
      return insert(document, path, structuredClone(at(document, pointer(operation['from']))))
    case 'move': {
      const from = pointer(operation['from'])
      const moved = at(document, from)
      return insert(remove(document, from), path, moved)
    }
    case 'test':
      if (isDeepStrictEqual(at(document, path), value)) return document
      throw failed(`testing value ${textOf(path)} failed`)
    default:
      throw badRequest(`Expected a JSON patch operation to be add, remove, replace, move, copy or test, got \`${op}\``)
  }
}

/** Parses a JSON pointer (RFC 6901). */
function pointer(text: unknown): string[] {
  if (text === '') return []
  if (typeof text !== 'string' || !text.startsWith('/'))
    throw badRequest(`Expected a JSON pointer like /metadata/labels, got \`${JSON.stringify(text)}\``)
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function at(document: unknown, path: readonly string[]): unknown {
  let value = document
  for (const part of path) {
    if (Array.isArray(value)) value = value[indexIn(value, part, path)]
    else if (isFields(value) && Object.hasOwn(value, part)) value = value[part]
    else throw failed(`there is nothing at ${textOf(path)}`)
  }
  return value
}

function insert(document: unknown, path: readonly string[], value: unknown): unknown {
  const last = path.at(-1)
  if (last === undefined) return value
  const parent = at(document, path.slice(0, -1))
  if (Array.isArray(parent))
    parent.splice(last === '-' ? parent.length : indexIn(parent, last, path, parent.length), 0, value)
  else if (isFields(parent)) define(parent, last, value)
  else throw failed(`there is no object or list above ${textOf(path)}`)
  return document
}

function remove(document: unknown, path: readonly string[]): unknown {
  const last = path.at(-1)
  if (last === undefined) throw failed('the whole document cannot be removed')
  at(document, path)
  const parent = at(document, path.slice(0, -1))
  if (Array.isArray(parent)) parent.splice(indexIn(parent, last, path), 1)
  else if (isFields(parent)) delete parent[last]
  return document
}

/** Sets a field of any name: plain assignment of "__proto__" would change the prototype. */
function define(parent: object, field: string, value: unknown): void {
  Object.defineProperty(parent, field, { value, enumerable: true, configurable: true, writable: true })
}

function indexIn(list: readonly unknown[], part: string, path: readonly string[], last = list.length - 1): number {
  const index = Number(part)
  if (!/^(0|[1-9]\d*)$/.test(part) || index > last) throw failed(`there is no item ${part} for ${textOf(path)}`)
  return index
}

function textOf(path: readonly string[]): string {
  return `/${path.join('/')}`
}

function failed(why: string): StatusError {
  return new StatusError(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`)
}
