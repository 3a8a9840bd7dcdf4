// When what an EndpointSlice says became true: proxies count from there how long it took until packets followed (the
// network programming latency). As the real controller does (endpointslice/trigger_time_tracker.go): the earliest of
// the changes that this write is the first to tell of.
import type { PodView } from './pod-view.ts'
import type { ServiceView } from './service-view.ts'

export class TriggerTimes {
  /** When each pod became what it was when it was told of (ms since the epoch, by its uid), by the Service's uid. */
  readonly #told = new Map<string, ReadonlyMap<string, number>>()

  /** @returns ms since the epoch; undefined when nothing that has a time changed, such as a pod that went. */
  since(service: ServiceView, pods: readonly PodView[]): number | undefined {
    const before = this.#told.get(service.uid)
    const changed = pods
      .filter(({ uid, readySince }) => readySince > (before?.get(uid) ?? 0))
      .map(({ readySince }) => readySince)
    if (before === undefined) changed.push(service.createdAt)
    return changed.length === 0 ? undefined : Math.min(...changed)
  }

  /** What there is was written: from now on it is no change. A write that was overtaken has told nobody. */
  told(service: ServiceView, pods: readonly PodView[]): void {
    this.#told.set(service.uid, new Map(pods.map(({ uid, readySince }) => [uid, readySince])))
  }

  keepOnly(uids: ReadonlySet<string>): void {
    for (const uid of this.#told.keys()) if (!uids.has(uid)) this.#told.delete(uid)
  }
}
