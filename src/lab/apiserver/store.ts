// Objects by resource, one revision counter over all of them, and the last events of each resource. All of it is
// synchronous: between two awaits of a caller nothing changes, so read, decide and write is atomic without locks.
// Nothing is kept on disk: a restarted lab is a new cluster.
import { storedAs } from './event-versions.ts'
import { EventWindow, StoreEvent } from './event-window.ts'
import { type KubeObject, keyOf } from './kube-object.ts'
import type { Resource } from './resources.ts'
import { StoredObject } from './stored-object.ts'

export interface StoreOptions {
  /** Events kept per resource for watches to resume from. */
  readonly windowSize: number
  /**
   * The first revision. By default from the clock, so that a restarted server (at fewer than 1,000 writes a second) is
   * always ahead of its former life: a client that resumes from then is told to list anew and never misses a change.
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

  /** The revision of the last change to anything. */
  get revision(): number {
    return this.#revision
  }

  /** Two resources that show the same objects have one table. */
  table(shown: Resource): Table {
    const resource = storedAs(shown)
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
   * In key order; undefined once something changed. An array given out is never changed again: a paged list goes on in
   * it.
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

  /** Every object, in key order. */
  list(): readonly StoredObject[] {
    this.#sorted ??= [...this.#objects].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, stored]) => stored)
    return this.#sorted
  }

  get size(): number {
    return this.#objects.size
  }

  /** Stores a new object or a new version of one, under the next revision. */
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

  /** The events after that revision, oldest first; undefined when some of them are no longer kept. */
  eventsSince(revision: number): readonly StoreEvent[] | undefined {
    return this.#window.since(revision)
  }

  /** Calls back on each change, at once and in order, until the function it returns is called. */
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
