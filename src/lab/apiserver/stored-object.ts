// One version of one object.
import { type KubeObject, keyOf } from './kube-object.ts'

/** Immutable: lists, events and watchers share it. */
export class StoredObject {
  readonly object: KubeObject
  readonly revision: number
  #json: string | undefined

  constructor(object: KubeObject, revision: number) {
    this.object = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } }
    this.revision = revision
  }

  get key(): string {
    return keyOf(this.object.metadata.namespace, this.object.metadata.name)
  }

  /** The JSON of the object, serialized on first use. */
  get json(): string {
    this.#json ??= JSON.stringify(this.object)
    return this.#json
  }
}
