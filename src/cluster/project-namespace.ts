// Converts a Namespace object to a ClusterNamespace, and compares two.
import { isDeepStrictEqual } from 'node:util'
import { withoutNulls } from './explicit-nulls.ts'
import { asKubeObject, keyOf } from './kube-object.ts'
import type { ClusterNamespace } from './namespace.ts'

/**
 * Projects a namespace.
 * @throws {TypeError} when the object has no name.
 */
export function projectNamespace(raw: unknown): readonly [key: string, namespace: ClusterNamespace] {
  const namespace = withoutNulls(asKubeObject(raw))
  const { name, labels = {} } = namespace.metadata
  return [
    keyOf(namespace),
    Object.freeze({ name, labels: Object.freeze({ ...labels, 'kubernetes.io/metadata.name': name }) }),
  ]
}

/** Returns false when anything that we keep differs. */
export function sameNamespace(a: ClusterNamespace, b: ClusterNamespace): boolean {
  return isDeepStrictEqual(a, b)
}
