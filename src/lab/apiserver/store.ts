// The objects by resource, one revision counter for all of them, and the last events of each resource. Everything is
// synchronous: nothing changes between two awaits of a caller, so it can read, decide and write atomically without
// locks. Nothing is written to disk: a restarted lab is a new cluster.
import { storedAs } from './events.ts'
import { EventWindow, StoreEvent } from './event-window.ts'
import { type KubeObject, keyOf } from './kube-object.ts'
import type { Resource } from './resources.ts'
import { StoredObject } from './stored-object.ts'

export interface StoreOptions {
  /** The number of events kept per resource, from which watches resume. */
  readonly windowSize: number
  /**
   * The first revision. By default it comes from the clock, so that a restarted server is ahead of its previous run, up
   * to 1,000 writes a second. A client that resumes from before must list again and misses no change.
   */
  readonly firstRevision?: number
}

export class Store {
  readonly #tables = new Map<Resource, Table>()
  readonly #windowSize: number
  readonly #firstRevision: number
  #revision: number

  constructor(options: StoreOptions) {
    this.#windowSize = options.windowSize
    this.#firstRevision = options.firstRevision ?? Math.floor(Date.now() / 1000) * 1000
    this.#revision = this.#firstRevision
  }

  /** The revision of the last change to any object. */
  get revision(): number {
    return this.#revision
  }

  /** Returns the table of a resource. Resources with the same objects share one. */
  table(requested: Resource): Table {
    const resource = storedAs(requested)
    let table = this.#tables.get(resource)
    if (table === undefined) {
      table = new Table(resource, new EventWindow(this.#windowSize, this.#firstRevision), () => ++this.#revision)
      this.#tables.set(resource, table)
    }
    return table
  }

  tables(): Iterable<Table> {
    return this.#tables.values()
  }
}

export class Table {
  readonly resource: Resource
  readonly #objects = new Map<string, StoredObject>()
  readonly #window: EventWindow
  readonly #nextRevision: () => number
  readonly #listeners = new Set<(event: StoreEvent) => void>()
  /**
   * The objects in key order; undefined after a change. A returned array is never changed, because paged lists continue
   * in it.
   */
  #sorted: readonly StoredObject[] | undefined

  constructor(resource: Resource, window: EventWindow, nextRevision: () => number) {
    this.resource = resource
    this.#window = window
    this.#nextRevision = nextRevision
  }

  get(namespace: string | undefined, name: string): StoredObject | undefined {
    return this.#objects.get(keyOf(namespace, name))
  }

  /** Returns all objects in key order. */
  list(): readonly StoredObject[] {
    this.#sorted ??= [...this.#objects].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, stored]) => stored)
    return this.#sorted
  }

  get size(): number {
    return this.#objects.size
  }

  /** Stores a new object, or a new version of one, under the next revision. */
  put(object: KubeObject): StoredObject {
    const key = keyOf(object.metadata.namespace, object.metadata.name)
    const revision = this.#nextRevision()
    const after = new StoredObject(object, revision)
    const before = this.#objects.get(key)
    this.#objects.set(key, after)
    this.#publish(new StoreEvent(revision, before, after))
    return after
  }

  remove(stored: StoredObject): void {
    if (!this.#objects.delete(stored.key)) return
    this.#publish(new StoreEvent(this.#nextRevision(), stored, undefined))
  }

  /** Returns the events after a revision, oldest first; undefined when some of them were dropped. */
  eventsSince(revision: number): readonly StoreEvent[] | undefined {
    return this.#window.since(revision)
  }

  /**
   * Calls back for each change, synchronously and in order.
   * @returns a function that stops the calls.
   */
  onEvent(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #publish(event: StoreEvent): void {
    this.#sorted = undefined
    this.#window.push(event)
    for (const listener of this.#listeners) listener(event)
  }
}
