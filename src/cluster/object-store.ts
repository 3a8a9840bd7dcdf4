// The projected objects of one reflector, which consumers read as snapshots. Raw objects are dropped here.
import { type KubeObject, keyOf } from './kube-object.ts'
import type { Problem, Report } from './problem.ts'

/**
 * Converts a raw object to the small frozen value that is kept; undefined drops the object. The key must be
 * `keyOf(raw)`, because deletions use it. Problems of a part of the object go to `report`, one sentence each; a problem
 * that makes the whole object unusable is thrown.
 */
export type Projection<T> = (raw: unknown, report: Report) => readonly [key: string, value: T] | undefined

export interface StoreSettings<T> {
  /** The path that the objects come from, for messages: "/api/v1/nodes". */
  readonly path: string
  readonly project: Projection<T>
  /** Returns true when no consumer can tell the two apart: the older value is kept and nothing is signalled. */
  equals(a: T, b: T): boolean
  /** Called once for each problem, until the problem changes or goes away. */
  readonly warn: (problem: string) => void
}

export class ObjectStore<T> {
  readonly #settings: StoreSettings<T>
  /** The reported problems by key. Empty in most clusters. */
  readonly #problems = new Map<string, readonly Problem[]>()
  readonly #listeners: (() => void)[] = []
  #objects = new Map<string, T>()
  /** An immutable copy of #objects; undefined after a change until the next read. */
  #snapshot: ReadonlyMap<string, T> | undefined
  #signalDue = false

  constructor(settings: StoreSettings<T>) {
    this.#settings = settings
  }

  get size(): number {
    return this.#objects.size
  }

  /** Returns the same map until something changes. */
  get snapshot(): ReadonlyMap<string, T> {
    this.#snapshot ??= new Map(this.#objects)
    return this.#snapshot
  }

  /** The problems of the current objects. */
  get problems(): readonly Problem[] {
    return [...this.#problems.values()].flat()
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  put(object: KubeObject): void {
    const key = keyOf(object)
    const value = this.#valueOf(key, object)
    const known = this.#objects.get(key)
    if (value === known) return
    if (value === undefined) this.#objects.delete(key)
    else this.#objects.set(key, value)
    this.#changed()
  }

  remove(object: KubeObject): void {
    const key = keyOf(object)
    this.#problems.delete(key)
    if (this.#objects.delete(key)) this.#changed()
  }

  /** Starts a replacement of all objects by those of a new list. Readers see none of them before `commit`. */
  replace(): Replacement {
    const objects = new Map<string, T>()
    const listed = new Set<string>()
    return {
      put: (object) => {
        const key = keyOf(object)
        listed.add(key)
        const value = this.#valueOf(key, object)
        if (value === undefined) objects.delete(key)
        else objects.set(key, value)
      },
      remove: (object) => {
        objects.delete(keyOf(object))
      },
      commit: () => {
        const before = this.#objects
        this.#objects = objects
        for (const key of this.#problems.keys()) if (!listed.has(key)) this.#problems.delete(key)
        if (objects.size !== before.size || [...objects].some(([key, value]) => before.get(key) !== value))
          this.#changed()
      },
    }
  }

  /** Notifies the listeners once for all changes within one turn of the event loop. */
  signal(): void {
    if (this.#signalDue) return
    this.#signalDue = true
    setImmediate(() => {
      this.#signalDue = false
      for (const listener of this.#listeners) listener()
    })
  }

  #changed(): void {
    this.#snapshot = undefined
    this.signal()
  }

  /** Returns the value to keep: the known one when nothing changed or when the new object cannot be read. */
  #valueOf(key: string, object: KubeObject): T | undefined {
    const known = this.#objects.get(key)
    const problems: Problem[] = []
    let value: T | undefined
    try {
      const projected = this.#settings.project(object, (sentence, reason = 'left-out') =>
        problems.push({ sentence, reason }),
      )
      if (projected !== undefined && projected[0] !== key)
        throw new TypeError(`Expected the projection to name it \`${key}\`, got \`${projected[0]}\``)
      value = projected?.[1]
    } catch (error) {
      const consequence = known === undefined ? 'is left out' : 'keeps its previous value'
      const reason = error instanceof Error ? error.message : String(error)
      const sentence = `${key} of ${this.#settings.path} cannot be read and ${consequence}: ${reason}`
      problems.push({ sentence, reason: 'unreadable' })
      value = known
    }
    this.#report(key, problems)
    return value !== undefined && known !== undefined && this.#settings.equals(known, value) ? known : value
  }

  #report(key: string, problems: readonly Problem[]): void {
    const known = new Set(this.#problems.get(key)?.map(({ sentence }) => sentence))
    for (const { sentence } of problems) if (!known.has(sentence)) this.#settings.warn(sentence)
    if (problems.length > 0) this.#problems.set(key, problems)
    else this.#problems.delete(key)
  }
}

/** A new list that is being received. `commit` replaces the objects of the store by it. */
export interface Replacement {
  put(object: KubeObject): void
  remove(object: KubeObject): void
  commit(): void
}
