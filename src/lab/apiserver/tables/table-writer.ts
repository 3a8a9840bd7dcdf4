// Writes Tables (meta.k8s.io). The server decides what `kubectl get` prints, column by column, so that any kubectl can
// show any kind.
import { asServed } from '../events.ts'
import type { KubeObject } from '../kube-object.ts'
import { apiVersionOf, type Resource } from '../resources.ts'
import type { Column } from './column.ts'
import { columnsOf } from './columns.ts'

export type TableVersion = 'v1' | 'v1beta1'
/** The object in a row besides the cells. kubectl requests it for `--show-labels` and `--sort-by`. */
export type RowObject = 'None' | 'Metadata' | 'Object'

export class TableWriter {
  readonly #version: TableVersion
  readonly #include: RowObject
  readonly #columns: readonly Column[]
  readonly #resource: Resource
  #described = false

  constructor(resource: Resource, version: TableVersion, include: RowObject) {
    this.#resource = resource
    this.#version = version
    this.#include = include
    this.#columns = columnsOf(resource)
  }

  /** Returns the JSON of a Table. Only the first one has column definitions, as in the real server's watches. */
  table(metadata: object, objects: readonly KubeObject[]): string {
    const now = Date.now()
    const columnDefinitions = this.#described
      ? null
      : this.#columns.map(({ name, type, priority }) => ({
          name,
          type,
          format: name === 'Name' ? 'name' : '',
          description: '',
          priority,
        }))
    this.#described = true
    const rows = objects.map((object) => ({
      cells: this.#columns.map(({ cell }) => cell(object, now)),
      ...this.#object(object),
    }))
    return JSON.stringify({
      kind: 'Table',
      apiVersion: `meta.k8s.io/${this.#version}`,
      metadata,
      columnDefinitions,
      rows,
    })
  }

  #object(object: KubeObject): { object?: object } {
    const { metadata } = object
    if (this.#include === 'None') return {}
    if (this.#include === 'Metadata')
      return { object: { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${this.#version}`, metadata } }
    return {
      object: {
        ...asServed(this.#resource, object),
        kind: this.#resource.kind,
        apiVersion: apiVersionOf(this.#resource),
      },
    }
  }
}
