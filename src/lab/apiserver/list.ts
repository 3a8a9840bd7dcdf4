// LIST: a consistent picture of one resource, whole or in pages.
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { ListOptions } from './list-options.ts'
import type { Presentation } from './presentation.ts'
import { writeChunks } from './response-stream.ts'
import { badRequest, expired, tooLargeVersion } from './status-error.ts'
import type { Store, Table } from './store.ts'
import type { StoredObject } from './stored-object.ts'

/** Where a paged list goes on: in the picture its first page was cut from. */
interface Continuation {
  readonly table: Table
  readonly revision: number
  readonly all: readonly StoredObject[]
  readonly from: number
}

/** Pictures held for clients that may come back for more; beyond it the oldest expires. */
const heldPictures = 64

export class Lister {
  readonly #store: Store
  readonly #continuations = new Map<string, Continuation>()

  constructor(store: Store) {
    this.#store = store
  }

  /** @throws StatusError 410 for a continue token whose picture is gone, 504 for a version that does not exist yet. */
  async serve(table: Table, options: ListOptions, presentation: Presentation, response: ServerResponse): Promise<void> {
    const picture =
      options.continueToken === '' ? this.#picture(table, options) : this.#continued(table, options.continueToken)
    const { items, next } = page(picture, options)
    const metadata: Record<string, unknown> = { resourceVersion: String(picture.revision) }
    if (next < picture.all.length) {
      metadata['continue'] = this.#hold({ ...picture, from: next })
      // As the real server: not told where a selector would make it a guess.
      if (items.length === next - picture.from) metadata['remainingItemCount'] = picture.all.length - next
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    await writeChunks(response, presentation.list(metadata, items))
    response.end()
  }

  #picture(table: Table, { resourceVersion, resourceVersionMatch }: ListOptions): Continuation {
    const { revision } = this.#store
    if (resourceVersion !== undefined && resourceVersion > revision) throw tooLargeVersion(resourceVersion, revision)
    // Only the present is kept: an exact version is there when nothing of this resource changed since.
    if (resourceVersionMatch === 'Exact' && table.eventsSince(resourceVersion ?? 0)?.length !== 0)
      throw expired(`The resourceVersion for the provided list is too old: ${resourceVersion}`)
    return {
      table,
      revision: resourceVersionMatch === 'Exact' ? (resourceVersion ?? revision) : revision,
      all: table.list(),
      from: 0,
    }
  }

  #continued(table: Table, token: string): Continuation {
    const picture = this.#continuations.get(token)
    if (picture !== undefined && picture.table !== table)
      throw badRequest('Expected the continue token of a list of this resource')
    if (picture === undefined || table.eventsSince(picture.revision) === undefined) {
      this.#continuations.delete(token)
      throw expired(
        'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.',
      )
    }
    return picture
  }

  #hold(continuation: Continuation): string {
    const token = randomUUID()
    this.#continuations.set(token, continuation)
    const [oldest] = this.#continuations.keys()
    if (this.#continuations.size > heldPictures && oldest !== undefined) this.#continuations.delete(oldest)
    return token
  }
}

/**
 * The next matching items, and where the page after them starts; the end of the picture when nothing matching is left.
 */
function page(picture: Continuation, { matches, limit }: ListOptions): { items: StoredObject[]; next: number } {
  const items: StoredObject[] = []
  for (let i = picture.from; i < picture.all.length; i++) {
    const stored = picture.all[i]
    if (stored === undefined || !matches(stored.object)) continue
    if (limit > 0 && items.length === limit) return { items, next: i }
    items.push(stored)
  }
  return { items, next: picture.all.length }
}
