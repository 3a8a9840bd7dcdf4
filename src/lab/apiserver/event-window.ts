// The last changes of one resource, so that a watch that broke off can go on where it was.
import { StoredObject } from './stored-object.ts'

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED'

/** One change. Created: no `before`. Removed: no `after`. */
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
   * The object as the event shows it. DELETED shows the last state a watcher knew, at this event's revision: for one
   * with a selector that is the state before the object left its selection.
   */
  shown(type: WatchEventType): StoredObject | undefined {
    return type === 'DELETED' ? this.before && new StoredObject(this.before.object, this.revision) : this.after
  }

  /** The event as a line of a watch, made once for all watchers. */
  line(type: WatchEventType): string {
    let line = this.#lines.get(type)
    if (line === undefined) {
      line = watchLine(type, this.shown(type)?.json ?? 'null')
      this.#lines.set(type, line)
    }
    return line
  }
}

export function watchLine(type: string, json: string): string {
  return `{"type":"${type}","object":${json}}\n`
}

export class EventWindow {
  readonly #size: number
  readonly #events: StoreEvent[] = []
  /** Every event after this revision is in #events. */
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

  since(revision: number): readonly StoreEvent[] | undefined {
    if (revision < this.#completeSince) return undefined
    return this.#events.slice(this.#events.findLastIndex((event) => event.revision <= revision) + 1)
  }
}
