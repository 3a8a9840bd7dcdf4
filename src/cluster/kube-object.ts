// The metadata that every Kubernetes object has, and the key of an object in a snapshot.
import { flatString } from '../net/flat-string.ts'
import { withoutNulls } from './explicit-nulls.ts'
import type { Report } from './problem.ts'

/**
 * An object as the API server sends it: plain JSON, with times as text. The classes of client-node declare times as
 * Date, which is true only for their lists.
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

/**
 * Checks that a value is an object with a name; nothing else of it is checked.
 * @throws {TypeError} when it has no metadata.name.
 */
export function asKubeObject(raw: unknown): KubeObject {
  const object = raw as { metadata?: { name?: unknown } } | null | undefined
  if (typeof object?.metadata?.name !== 'string' || object.metadata.name === '')
    throw new TypeError(`Expected an object with a metadata.name, got \`${JSON.stringify(raw)?.slice(0, 200)}\``)
  return raw as KubeObject
}

/**
 * Reads an object for its projection: null fields count as absent, and null items of lists are reported and removed.
 * @param kind for messages: "Service".
 * @throws {TypeError} when it has no name.
 */
export function readObject(raw: unknown, kind: string, report: Report): KubeObject {
  const object = asKubeObject(raw)
  return withoutNulls(object, (path) => report(`${kind} ${keyOf(object)}: ${path} is null and is left out`))
}

/** Returns "namespace/name", or "name" for a cluster-scoped object; a null namespace counts as none. */
export function keyOf({ metadata: { name, namespace } }: KubeObject): string {
  return (namespace ?? '') === '' ? name : flatString(namespace ?? '', '/', name)
}

/**
 * Returns creationTimestamp in ms since the epoch; 0 when there is none, so that such an object counts as the oldest.
 */
export function createdAtOf({ metadata }: KubeObject): number {
  return Date.parse(metadata.creationTimestamp ?? '') || 0
}
