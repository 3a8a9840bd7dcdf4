// The part of a Namespace that the namespace controller keeps.
import * as z from 'zod'
import { keyOf } from '../../cluster/kube-object.ts'

export interface NamespaceView {
  readonly name: string
  /** Marked for deletion. */
  readonly deleted: boolean
}

const schema = z.object({ metadata: z.object({ name: z.string(), deletionTimestamp: z.string().optional() }) })

export function projectNamespace(raw: unknown): readonly [key: string, namespace: NamespaceView] {
  const { metadata } = schema.parse(raw)
  return [
    keyOf({ metadata: { name: metadata.name } }),
    Object.freeze({ name: metadata.name, deleted: metadata.deletionTimestamp !== undefined }),
  ]
}
