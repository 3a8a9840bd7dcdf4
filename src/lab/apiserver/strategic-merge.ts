// Strategic merge patch: a merge patch that merges some lists by key. The real server reads the merge keys from its Go
// types; here they are in one table by the name of the list. Other lists are atomic and are replaced, such as the
// endpoints of a slice and the rules of a policy.
import { type Fields, isFields } from './kube-object.ts'
import { badRequest } from './status-error.ts'

/** The merge keys of each list. The first key that the items have is used. */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  addresses: ['type'],
  conditions: ['type'],
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  env: ['name'],
  hostAliases: ['ip'],
  imagePullSecrets: ['name'],
  ownerReferences: ['uid'],
  podIPs: ['ip'],
  // Container ports, then Service ports.
  ports: ['containerPort', 'port'],
  secrets: ['name'],
  taints: ['key'],
  topologySpreadConstraints: ['topologyKey'],
  volumes: ['name'],
  volumeDevices: ['devicePath'],
  volumeMounts: ['mountPath'],
}

/** Lists of plain values that are merged as sets. */
const mergedSets = new Set(['finalizers', 'podCIDRs'])

/** @throws StatusError 400 when the patch is not an object, or a list item has no merge key. */
export function strategicMerge(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) throw badRequest('Expected a strategic merge patch to be an object')
  return mergeFields(isFields(target) ? target : {}, patch)
}

function mergeFields(target: Fields, patch: Fields): Fields | undefined {
  if (patch['$patch'] === 'delete') return undefined
  if (patch['$patch'] === 'replace') return withoutDirectives(patch)
  const result = keepOnly(target, patch['$retainKeys'])
  for (const [field, value] of Object.entries(patch)) {
    if (field.startsWith('$')) continue
    const merged = value === null ? undefined : mergeValue(field, result[field], value)
    if (merged === undefined) delete result[field]
    else result[field] = merged
  }
  for (const [field, order] of Object.entries(patch)) {
    const [directive, list = ''] = field.split('/', 2)
    const value = result[list]
    if (directive === '$deleteFromPrimitiveList' && Array.isArray(value) && Array.isArray(order))
      result[list] = value.filter((item) => !order.includes(item))
    if (directive === '$setElementOrder' && Array.isArray(value) && Array.isArray(order))
      result[list] = inOrder(list, value, order)
  }
  return result
}

function mergeValue(field: string, target: unknown, patch: unknown): unknown {
  if (isFields(patch)) return mergeFields(isFields(target) ? target : {}, patch)
  if (!Array.isArray(patch)) return patch
  const old: unknown[] = Array.isArray(target) ? target : []
  if (mergedSets.has(field)) return [...new Set([...old, ...patch])]
  const key = mergeKeyOf(field, [...patch, ...old])
  return key === undefined
    ? patch.map((item) => (isFields(item) ? withoutDirectives(item) : item))
    : mergeList(field, key, old, patch)
}

function mergeList(field: string, key: string, old: readonly unknown[], patch: readonly unknown[]): unknown[] {
  if (patch.some((item) => isFields(item) && item['$patch'] === 'replace'))
    return patch.filter((item) => !(isFields(item) && '$patch' in item))
  const result = [...old]
  for (const item of patch) {
    if (!isFields(item) || item[key] === undefined)
      throw badRequest(`Expected each item of ${field} in a strategic merge patch to have its merge key ${key}`)
    const index = result.findIndex((other) => isFields(other) && other[key] === item[key])
    const same = result[index]
    const merged = mergeFields(isFields(same) ? same : {}, item)
    if (merged === undefined) {
      if (index !== -1) result.splice(index, 1)
    } else if (index === -1) {
      result.push(merged)
    } else {
      result[index] = merged
    }
  }
  return result
}

function mergeKeyOf(field: string, items: readonly unknown[]): string | undefined {
  const keys = Object.hasOwn(mergeKeys, field) ? (mergeKeys[field] ?? []) : []
  const first = items.find((item) => isFields(item) && keys.some((key) => key in item))
  return isFields(first) ? keys.find((key) => key in first) : undefined
}

/** Sorts a list in the given order; items that the order does not mention come last. */
function inOrder(field: string, list: readonly unknown[], order: readonly unknown[]): unknown[] {
  const key = mergeKeyOf(field, order)
  const identity = (item: unknown): unknown => (key !== undefined && isFields(item) ? item[key] : item)
  const ranks = new Map(order.map((item, i) => [identity(item), i]))
  return list.toSorted((a, b) => (ranks.get(identity(a)) ?? ranks.size) - (ranks.get(identity(b)) ?? ranks.size))
}

function keepOnly(target: Fields, retained: unknown): Fields {
  if (!Array.isArray(retained)) return { ...target }
  return Object.fromEntries(Object.entries(target).filter(([field]) => retained.includes(field)))
}

function withoutDirectives(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([field]) => !field.startsWith('$')))
}
