// Which Services a new pair of snapshots concerns, told by identity: a reflector keeps the very object until something
// of it changes.
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { ClusterService } from '../cluster/service.ts'
import { flatString } from '../net/flat-string.ts'

type Services = ReadonlyMap<string, ClusterService>
type Slices = ReadonlyMap<string, ClusterEndpointSlice>

export class SnapshotChanges {
  #services: Services = new Map()
  #slices: Slices = new Map()
  /** Service key -> its slices. Most Services have one: an array costs a fifth of a map. */
  readonly #slicesOf = new Map<string, readonly ClusterEndpointSlice[]>()

  get services(): Services {
    return this.#services
  }

  slicesOf(service: string): Iterable<ClusterEndpointSlice> {
    return this.#slicesOf.get(service) ?? []
  }

  /** @returns the keys ("ns/name") of Services that came, went, or changed in themselves or in a slice. */
  take(services: Services, slices: Slices): Set<string> {
    const dirty = new Set<string>()
    if (services !== this.#services) for (const key of differing(this.#services, services)) dirty.add(key)
    if (slices !== this.#slices)
      for (const key of differing(this.#slices, slices)) this.#move(key, slices.get(key), dirty)
    this.#services = services
    this.#slices = slices
    return dirty
  }

  #move(key: string, slice: ClusterEndpointSlice | undefined, dirty: Set<string>): void {
    const known = this.#slices.get(key)
    const [before, after] = [serviceOf(known), serviceOf(slice)]
    if (before !== undefined) {
      dirty.add(before)
      const left = (this.#slicesOf.get(before) ?? []).filter((sibling) => sibling !== known)
      if (left.length > 0) this.#slicesOf.set(before, left)
      else this.#slicesOf.delete(before)
    }
    if (after !== undefined && slice !== undefined) {
      dirty.add(after)
      this.#slicesOf.set(after, [...(this.#slicesOf.get(after) ?? []), slice])
    }
  }
}

function serviceOf(slice: ClusterEndpointSlice | undefined): string | undefined {
  return slice?.service === undefined ? undefined : flatString(slice.namespace, '/', slice.service)
}

function differing<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): string[] {
  const changed: string[] = []
  let kept = 0
  for (const [key, value] of after) {
    const known = before.get(key)
    if (known !== undefined) kept += 1
    if (known !== value) changed.push(key)
  }
  if (kept < before.size) for (const key of before.keys()) if (!after.has(key)) changed.push(key)
  return changed
}
