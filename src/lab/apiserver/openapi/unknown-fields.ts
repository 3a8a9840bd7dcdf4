// Drops fields that a kind does not have, usually typing errors. Like the real server, the lab stores none of them and
// reports each one. Null fields are dropped too, because Go decodes them as absent.
import { type Fields, isFields, type KubeObject } from '../kube-object.ts'
import type { Resource } from '../resources.ts'
import { badRequest } from '../status-error.ts'
import type { WriteOptions } from '../write-options.ts'
import { type Field, fieldsOf, type FieldType, modelOf } from './models.ts'

/**
 * Drops unknown and null fields of an object that a client writes.
 * @returns the object, and a warning for each unknown field if the client asked for warnings.
 * @throws StatusError 400 that names every unknown field, with strict validation.
 */
export function withKnownFields(
  resource: Resource,
  object: KubeObject,
  fieldValidation: WriteOptions['fieldValidation'],
): { object: KubeObject; warnings: readonly string[] } {
  const model = modelOf(resource)
  if (model === undefined) return { object, warnings: [] }
  const unknown: string[] = []
  const pruned = prune(model, object, '', unknown)
  const problems = unknown.map((path) => `unknown field "${path}"`)
  const { kind, version } = resource
  if (fieldValidation === 'Strict' && problems.length > 0)
    throw badRequest(
      `${kind} in version "${version}" cannot be handled as a ${kind}: strict decoding error: ${problems.join(', ')}`,
    )
  return { object: pruned as KubeObject, warnings: fieldValidation === 'Warn' ? problems : [] }
}

/**
 * Returns the object without unknown and null fields; the given object itself when nothing is dropped.
 * @param unknown receives paths such as "spec.containers[0].imgae".
 */
function prune(model: string, value: Fields, path: string, unknown: string[]): Fields {
  const known = byName(model)
  const kept: Fields = {}
  let changed = false
  for (const [name, item] of Object.entries(value)) {
    const field = known.get(name)
    const fieldPath = path === '' ? name : `${path}.${name}`
    if (field === undefined || item === null) {
      if (field === undefined) unknown.push(fieldPath)
      changed = true
      continue
    }
    const clean = pruneValue(field.type, item, fieldPath, unknown)
    changed ||= clean !== item
    kept[name] = clean
  }
  return changed ? kept : value
}

function pruneValue(type: FieldType, value: unknown, path: string, unknown: string[]): unknown {
  if (type.kind === 'model' && isFields(value)) return prune(type.model, value, path, unknown)
  if (type.kind === 'list' && Array.isArray(value)) {
    const items = value.map((item, i) => pruneValue(type.of, item, `${path}[${i}]`, unknown))
    return items.every((item, i) => item === value[i]) ? value : items
  }
  if (type.kind === 'map' && isFields(value)) {
    const entries = Object.entries(value).map(
      ([key, item]) => [key, pruneValue(type.of, item, `${path}.${key}`, unknown)] as const,
    )
    return entries.every(([key, item]) => item === value[key]) ? value : Object.fromEntries(entries)
  }
  return value
}

const names = new Map<string, ReadonlyMap<string, Field>>()

function byName(model: string): ReadonlyMap<string, Field> {
  let map = names.get(model)
  if (map === undefined) {
    map = new Map(fieldsOf(model).map((field) => [field.name, field]))
    names.set(model, map)
  }
  return map
}
