// The fields and types of Kubernetes objects, read from the models of the official client.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as clientModels from '@kubernetes/client-node/dist/gen/models/all.js'
import type { Resource } from '../resources.ts'

export interface Field {
  readonly name: string
  readonly type: FieldType
}

export type FieldType =
  | { readonly kind: 'list' | 'map'; readonly of: FieldType }
  /** Another model, by name. */
  | { readonly kind: 'model'; readonly model: string }
  | { readonly kind: 'string' | 'boolean' | 'number' | 'time' | 'int-or-string' | 'any' }

interface ClientModel {
  readonly attributeTypeMap?: readonly { readonly baseName: string; readonly type: string }[]
}

const known = clientModels as unknown as Readonly<Record<string, ClientModel | undefined>>
const fields = new Map<string, readonly Field[]>()

/** Returns the name of a resource's model: "V1Pod"; undefined when the client has none. */
export function modelOf({ kind, version, group }: Resource): string | undefined {
  const plain = `${version.toUpperCase()}${kind}`
  // A kind that exists in two groups has its group in the name: "CoreV1Event", "EventsV1Event".
  const of = group === '' ? 'Core' : group.charAt(0).toUpperCase() + (group.split('.')[0] ?? '').slice(1)
  return [plain, `${of}${plain}`].find((name) => known[name]?.attributeTypeMap !== undefined)
}

export function fieldsOf(model: string): readonly Field[] {
  let list = fields.get(model)
  if (list === undefined) {
    list = (known[model]?.attributeTypeMap ?? []).map(({ baseName, type }) => ({
      name: baseName,
      type: parseType(type),
    }))
    fields.set(model, list)
  }
  return list
}

/**
 * Returns the descriptions of a model's fields by name, and that of the model under ''. Empty when the client's
 * declaration files are not installed.
 */
export function descriptionsOf(model: string): ReadonlyMap<string, string> {
  const text = declarationsOf(model)
  const own = /\/\*\*\n\* ([^\n]*)\n\*\/\nexport declare class/.exec(text)?.[1]
  const described = [...text.matchAll(/ {4}\/\*\*\n {4}\* ([^\n]*)\n {4}\*\/\n {4}'(.+?)'\??:/g)].map(
    ([, words = '', name = '']) => [name, unescaped(words)] as const,
  )
  return new Map([...described, ...(own === undefined ? [] : [['', unescaped(own)] as const])])
}

function declarationsOf(model: string): string {
  try {
    return readFileSync(
      fileURLToPath(import.meta.resolve(`@kubernetes/client-node/dist/gen/models/${model}.d.ts`)),
      'utf8',
    )
  } catch {
    return ''
  }
}

function unescaped(text: string): string {
  return text.replaceAll(/\\(['"])/g, '$1')
}

function parseType(text: string): FieldType {
  const [, item] = /^Array<(.+)>$/.exec(text) ?? []
  if (item !== undefined) return { kind: 'list', of: parseType(item) }
  const [, value] = /^\{ \[key: string\]: (.+); \}$/.exec(text) ?? []
  if (value !== undefined) return { kind: 'map', of: parseType(value) }
  if (text === 'string' || text === 'boolean' || text === 'number') return { kind: text }
  if (text === 'Date' || text === 'V1MicroTime') return { kind: 'time' }
  if (text === 'IntOrString') return { kind: 'int-or-string' }
  return known[text]?.attributeTypeMap === undefined ? { kind: 'any' } : { kind: 'model', model: text }
}
