// The most recent changes of one resource, from which interrupted watches resume.
import { StoredObject } from './stored-object.ts'

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED'

/** One change. A creation has no `before`, a removal no `after`. */
export class StoreEvent {
  readonly revision: number
  readonly before: StoredObject | undefined
  readonly after: StoredObject | undefined
  readonly #lines = new Map<WatchEventType, string>()

  constructor(revision: number, before: StoredObject | undefined, after: StoredObject | undefined) {
    this.revision = revision
    this.before = before
    this.after = after
  }

  /**
   * Returns the object of a watch event. DELETED has the last state that the watcher saw, with the revision of this
   * event: for a watch with a selector that is the state before the object left the selection.
   */
  objectFor(type: WatchEventType): StoredObject | undefined {
    return type === 'DELETED' ? this.before && new StoredObject(this.before.object, this.revision) : this.after
  }

  /** Returns the event as a line of a watch. It is serialized once for all watchers. */
  line(type: WatchEventType): string {
    let line = this.#lines.get(type)
    if (line === undefined) {
      line = watchLine(type, this.objectFor(type)?.json ?? 'null')
      this.#lines.set(type, line)
    }
    return line
  }
}

export function watchLine(type: string, json: string): string {
  return `{"type":"${type}","object":${json}}\n`
}

/** The last events of a resource, limited in number. */
export class EventWindow {
  readonly #size: number
  readonly #events: StoreEvent[] = []
  /** No event after this revision is missing from #events. */
  #completeSince: number

  constructor(size: number, revision: number) {
    this.#size = size
    this.#completeSince = revision
  }

  push(event: StoreEvent): void {
    this.#events.push(event)
    if (this.#events.length <= this.#size) return
    const dropped = this.#events.shift()
    if (dropped !== undefined) this.#completeSince = dropped.revision
  }

  /** Returns the events after a revision, oldest first; undefined when some of them were dropped. */
  since(revision: number): readonly StoreEvent[] | undefined {
    if (revision < this.#completeSince) return undefined
    return this.#events.slice(this.#events.findLastIndex((event) => event.revision <= revision) + 1)
  }
}
