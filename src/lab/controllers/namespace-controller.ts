// The namespace controller: deletes the objects in namespaces that are marked for deletion, then removes the finalizer.
import * as z from 'zod'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { tryWrite, type ControllerLog } from './try-write.ts'
import type { NamespaceView } from './namespace-view.ts'

export interface NamespaceControllerSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly log: ControllerLog
}

const groups = z.object({ groups: z.array(z.object({ preferredVersion: z.object({ groupVersion: z.string() }) })) })
const resources = z.object({
  resources: z.array(z.object({ name: z.string(), namespaced: z.boolean(), verbs: z.array(z.string()) })),
})
const list = z.object({
  items: z.array(
    z.object({ metadata: z.object({ name: z.string(), uid: z.string(), deletionTimestamp: z.string().optional() }) }),
  ),
})
const namespace = z.looseObject({ spec: z.looseObject({ finalizers: z.array(z.string()).default([]) }) })

export class NamespaceController {
  readonly #settings: NamespaceControllerSettings

  constructor(settings: NamespaceControllerSettings) {
    this.#settings = settings
  }

  async reconcile(namespaces: ReadonlyMap<string, NamespaceView>): Promise<void> {
    for (const { name, deleted } of namespaces.values())
      if (deleted && (await this.#empty(name))) await this.#finalize(name)
  }

  /**
   * Deletes all objects of a namespace.
   * @returns whether there were none. Some deletions take time, such as that of a pod with a grace period.
   */
  async #empty(namespace: string): Promise<boolean> {
    const { api, log } = this.#settings
    let empty = true
    for (const collection of await this.#collections(namespace)) {
      const { items } = list.parse(await api.request('GET', collection))
      if (items.length > 0) empty = false
      for (const { metadata } of items) {
        if (metadata.deletionTimestamp !== undefined) continue
        const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: metadata.uid } }
        await tryWrite(log, `delete ${collection}/${metadata.name}: its namespace is being deleted`, () =>
          api.request('DELETE', `${collection}/${metadata.name}`, { body }),
        )
      }
    }
    return empty
  }

  /** Lists the paths of all namespaced resources. Discovery is read each time, because resources can be added. */
  async #collections(namespace: string): Promise<string[]> {
    const { api } = this.#settings
    const named = groups
      .parse(await api.request('GET', '/apis'))
      .groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`)
    const collections: string[] = []
    for (const root of ['/api/v1', ...named]) {
      const found = resources.parse(await api.request('GET', root)).resources
      const deletable = found.filter(
        ({ name, namespaced, verbs }) =>
          namespaced && !name.includes('/') && verbs.includes('list') && verbs.includes('delete'),
      )
      collections.push(...deletable.map(({ name }) => `${root}/namespaces/${namespace}/${name}`))
    }
    return collections
  }

  async #finalize(name: string): Promise<void> {
    const { api, log } = this.#settings
    const path = `/api/v1/namespaces/${name}`
    await tryWrite(log, `finalize namespace ${name}`, async () => {
      const found = namespace.parse(await api.request('GET', path))
      const body = {
        ...found,
        spec: { ...found.spec, finalizers: found.spec.finalizers.filter((finalizer) => finalizer !== 'kubernetes') },
      }
      await api.request('PUT', `${path}/finalize`, { body })
    })
  }
}
