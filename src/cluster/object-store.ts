// The projected objects of one reflector: what a consumer sees of the cluster. Raw objects end here.
import { type KubeObject, keyOf } from './kube-object.ts'
import type { Problem, Report } from './problem.ts'

/**
 * Makes of a raw object the small frozen one that is kept; undefined leaves the object out. The key is `keyOf(raw)`:
 * deletions are found by it. What is wrong with a part of the object goes to `report`, one sentence each; what makes it
 * useless as a whole is thrown.
 */
export type Projection<T> = (raw: unknown, report: Report) => readonly [key: string, value: T] | undefined

export interface StoreSettings<T> {
  /** Where the objects come from, for sentences: "/api/v1/nodes". */
  readonly path: string
  readonly project: Projection<T>
  /** Whether a consumer could not tell the two apart: then nothing changed, and the older one is kept. */
  equals(a: T, b: T): boolean
  /** Told of a problem with an object once, until the problem changes or goes away. */
  readonly warn: (problem: string) => void
}

export class ObjectStore<T> {
  readonly #settings: StoreSettings<T>
  /** What was warned of, by key. Empty for most clusters. */
  readonly #problems = new Map<string, readonly Problem[]>()
  readonly #listeners: (() => void)[] = []
  #objects = new Map<string, T>()
  /** A copy of #objects that nobody changes any more; undefined from a change until somebody asks. */
  #snapshot: ReadonlyMap<string, T> | undefined
  #signalDue = false

  constructor(settings: StoreSettings<T>) {
    this.#settings = settings
  }

  get size(): number {
    return this.#objects.size
  }

  /** The same map until something changed. */
  get snapshot(): ReadonlyMap<string, T> {
    this.#snapshot ??= new Map(this.#objects)
    return this.#snapshot
  }

  /** What is wrong with objects as they are now. */
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

  /**
   * Collects the objects of a new list. Nothing is seen of them until the list is complete; then what it does not name
   * is gone.
   */
  refill(): Refill {
    const objects = new Map<string, T>()
    const named = new Set<string>()
    return {
      put: (object) => {
        const key = keyOf(object)
        named.add(key)
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
        for (const key of this.#problems.keys()) if (!named.has(key)) this.#problems.delete(key)
        if (objects.size !== before.size || [...objects].some(([key, value]) => before.get(key) !== value))
          this.#changed()
      },
    }
  }

  /** One signal for all that happens in a turn of the event loop. */
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

  /**
   * The value to keep: the very one we have where nothing changed, and also where the object cannot be read any more.
   */
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
      const sentence = `${key} of ${this.#settings.path} cannot be read and ${known === undefined ? 'is left out' : 'stays as it was'}: ${error instanceof Error ? error.message : String(error)}`
      problems.push({ sentence, reason: 'unreadable' })
      value = known
    }
    this.#report(key, problems)
    return value !== undefined && known !== undefined && this.#settings.equals(known, value) ? known : value
  }

  #report(key: string, problems: readonly Problem[]): void {
    const told = new Set(this.#problems.get(key)?.map(({ sentence }) => sentence))
    for (const { sentence } of problems) if (!told.has(sentence)) this.#settings.warn(sentence)
    if (problems.length > 0) this.#problems.set(key, problems)
    else this.#problems.delete(key)
  }
}

export interface Refill {
  put(object: KubeObject): void
  remove(object: KubeObject): void
  commit(): void
}
