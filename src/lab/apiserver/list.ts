// LIST: a consistent snapshot of one resource, in one piece or in pages.
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { ListOptions } from './list-options.ts'
import type { Presentation } from './presentation.ts'
import { writeChunks } from './response-stream.ts'
import { badRequest, expired, tooLargeVersion } from './status-error.ts'
import type { Store, Table } from './store.ts'
import type { StoredObject } from './stored-object.ts'

/** A snapshot, and the index of the first item that was not sent yet. */
interface Continuation {
  readonly table: Table
  readonly revision: number
  readonly all: readonly StoredObject[]
  readonly from: number
}

/** Snapshots kept for clients that read in pages; the oldest expires first. */
const maxContinuations = 64

export class Lister {
  readonly #store: Store
  readonly #continuations = new Map<string, Continuation>()

  constructor(store: Store) {
    this.#store = store
  }

  /** @throws StatusError 410 for an expired continue token, 504 for a resourceVersion from the future. */
  async serve(table: Table, options: ListOptions, presentation: Presentation, response: ServerResponse): Promise<void> {
    const snapshot =
      options.continueToken === '' ? this.#snapshot(table, options) : this.#continued(table, options.continueToken)
    const { items, next } = page(snapshot, options)
    const metadata: Record<string, unknown> = { resourceVersion: String(snapshot.revision) }
    if (next < snapshot.all.length) {
      metadata['continue'] = this.#keep({ ...snapshot, from: next })
      // Like the real server, omit the count when a selector would make it an estimate.
      if (items.length === next - snapshot.from) metadata['remainingItemCount'] = snapshot.all.length - next
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    await writeChunks(response, presentation.list(metadata, items))
    response.end()
  }

  #snapshot(table: Table, { resourceVersion, resourceVersionMatch }: ListOptions): Continuation {
    const { revision } = this.#store
    if (resourceVersion !== undefined && resourceVersion > revision) throw tooLargeVersion(resourceVersion, revision)
    // Only the current state is kept: an exact version is available if nothing has changed since.
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
    const snapshot = this.#continuations.get(token)
    if (snapshot !== undefined && snapshot.table !== table)
      throw badRequest('Expected the continue token of a list of this resource')
    if (snapshot === undefined || table.eventsSince(snapshot.revision) === undefined) {
      this.#continuations.delete(token)
      throw expired(
        'The provided continue parameter is too old to display a consistent list result. ' +
          'You must start a new list without the continue parameter.',
      )
    }
    return snapshot
  }

  #keep(continuation: Continuation): string {
    const token = randomUUID()
    this.#continuations.set(token, continuation)
    const [oldest] = this.#continuations.keys()
    if (this.#continuations.size > maxContinuations && oldest !== undefined) this.#continuations.delete(oldest)
    return token
  }
}

/**
 * Returns the next matching items, and the index where the following page starts; the end of the snapshot when no
 * matching item is left.
 */
function page(snapshot: Continuation, { matches, limit }: ListOptions): { items: StoredObject[]; next: number } {
  const items: StoredObject[] = []
  for (let i = snapshot.from; i < snapshot.all.length; i++) {
    const stored = snapshot.all[i]
    if (stored === undefined || !matches(stored.object)) continue
    if (limit > 0 && items.length === limit) return { items, next: i }
    items.push(stored)
  }
  return { items, next: snapshot.all.length }
}
