// What every Kubernetes object has, and the name it goes by in a snapshot.
import { flatString } from '../net/flat-string.ts'

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

/** "ns/name", or "name" for what belongs to the cluster. */
export function keyOf({ metadata }: KubeObject): string {
  return metadata.namespace === undefined ? metadata.name : flatString(metadata.namespace, '/', metadata.name)
}

/** creationTimestamp in ms since the epoch; 0 where there is none, so that the unknown is the oldest. */
export function createdAtOf({ metadata }: KubeObject): number {
  return Date.parse(metadata.creationTimestamp ?? '') || 0
}
