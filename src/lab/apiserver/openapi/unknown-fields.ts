// Fields that a kind does not have, mostly slips of the pen: the real server stores none of them and reports each.
// Null fields are stored neither: decoding leaves them absent.
import { type Fields, isFields } from '../kube-object.ts'
import { type Field, fieldsOf, type FieldType } from './models.ts'

export interface Pruned {
  readonly value: Fields
  /** Paths such as "spec.containers[0].imgae". */
  readonly unknown: readonly string[]
}

/**
 * Returns the object as far as its model knows it, without null fields. The given object is not changed, and is
 * returned itself when nothing is left out.
 */
export function pruneUnknownFields(model: string, object: Fields): Pruned {
  const unknown: string[] = []
  return { value: prune(model, object, '', unknown), unknown }
}

function prune(model: string, value: Fields, path: string, unknown: string[]): Fields {
  const known = byName(model)
  const kept: Fields = {}
  let changed = false
  for (const [name, item] of Object.entries(value)) {
    const field = known.get(name)
    const place = path === '' ? name : `${path}.${name}`
    if (field === undefined || item === null) {
      if (field === undefined) unknown.push(place)
      changed = true
      continue
    }
    const clean = pruneValue(field.type, item, place, unknown)
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
