// What every Kubernetes object has, and the name it goes by in a snapshot.
import { flatString } from '../net/flat-string.ts'
import { withoutNulls } from './explicit-nulls.ts'
import type { Report } from './problem.ts'

/**
 * As the API server sends it: plain JSON, times as text. client-node's classes would say Date, which is true of its
 * lists alone.
 */
export interface KubeObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
}

/** The object without a look at anything but its metadata. @throws {TypeError} when it has no name. */
export function asKubeObject(raw: unknown): KubeObject {
  const object = raw as { metadata?: { name?: unknown } } | null | undefined
  if (typeof object?.metadata?.name !== 'string' || object.metadata.name === '')
    throw new TypeError(`Expected an object with a metadata.name, got \`${JSON.stringify(raw)?.slice(0, 200)}\``)
  return raw as KubeObject
}

/**
 * Reads an object for its projection: null fields count as absent, and null items of lists are reported and removed.
 *
 * @param kind for sentences: "Service"
 * @throws {TypeError} when it has no name
 */
export function readObject(raw: unknown, kind: string, report: Report): KubeObject {
  const object = asKubeObject(raw)
  return withoutNulls(object, (path) => report(`${kind} ${keyOf(object)}: ${path} is null and is left out`))
}

/** Returns "ns/name", or "name" for an object without a namespace. A null namespace is none. */
export function keyOf({ metadata: { name, namespace } }: KubeObject): string {
  return (namespace ?? '') === '' ? name : flatString(namespace ?? '', '/', name)
}

/** creationTimestamp in ms since the epoch; 0 where there is none, so that the unknown is the oldest. */
export function createdAtOf({ metadata }: KubeObject): number {
  return Date.parse(metadata.creationTimestamp ?? '') || 0
}
