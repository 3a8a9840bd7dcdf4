// The endpoint slice controller: maintains the slices of every Service with a selector. It leaves other slices alone,
// those of Services without a selector and those of other managers.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { tryWrite, type ControllerLog } from './try-write.ts'
import { managedByLabel, manager, type SliceView, slicesPath, triggerTimeAnnotation } from './endpoint-slice-view.ts'
import type { NodeView } from './node-view.ts'
import type { PodView } from './pod-view.ts'
import { endpointGroups } from './service-endpoints.ts'
import type { ServiceView } from './service-view.ts'
import { planSlices, type SliceContent } from './slice-plan.ts'

export interface EndpointSlicesSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly log: ControllerLog
}

export interface EndpointSources {
  readonly services: ReadonlyMap<string, ServiceView>
  readonly pods: ReadonlyMap<string, PodView>
  readonly nodes: ReadonlyMap<string, NodeView>
  readonly slices: ReadonlyMap<string, SliceView>
}

export class EndpointSlices {
  readonly #settings: EndpointSlicesSettings
  readonly #triggers = new TriggerTimes()

  constructor(settings: EndpointSlicesSettings) {
    this.#settings = settings
  }

  async reconcile({ services, pods, nodes, slices }: EndpointSources): Promise<void> {
    const podsOf = Map.groupBy(pods.values(), ({ namespace }) => namespace)
    const managed = [...slices.values()].filter(({ labels }) => labels[managedByLabel] === manager)
    const slicesOf = Map.groupBy(managed, ({ serviceUid }) => serviceUid)
    const alive = [...services.values()].filter(({ deleted }) => !deleted)
    for (const service of alive) {
      const own = slicesOf.get(service.uid) ?? []
      slicesOf.delete(service.uid)
      if (service.selector !== undefined && service.type !== 'ExternalName')
        await this.#reconcileService(service, podsOf.get(service.namespace) ?? [], nodes, own)
    }
    for (const slice of [...slicesOf.values()].flat()) await this.#remove(slice, 'its Service does not exist any more')
    this.#triggers.keepOnly(new Set(alive.map(({ uid }) => uid)))
  }

  async #reconcileService(
    service: ServiceView,
    pods: readonly PodView[],
    nodes: ReadonlyMap<string, NodeView>,
    slices: readonly SliceView[],
  ): Promise<void> {
    const groups = endpointGroups(service, pods, nodes)
    const endpointUids = new Set(groups.flatMap(({ endpoints }) => endpoints.map(({ targetRef }) => targetRef.uid)))
    const members = pods.filter(({ uid }) => endpointUids.has(uid))
    const since = this.#triggers.since(service, members)
    const plan = planSlices(service, groups, slices)
    // Creations come first, so that a pod that moves between slices is always in one.
    const done: boolean[] = []
    for (const content of plan.create)
      done.push(await this.#write('POST', slicesPath(service.namespace), service, content, since))
    for (const { resourceVersion, ...content } of plan.update)
      done.push(
        await this.#write(
          'PUT',
          `${slicesPath(service.namespace)}/${content.name}`,
          service,
          content,
          since,
          resourceVersion,
        ),
      )
    for (const slice of plan.remove) await this.#remove(slice, 'it has no endpoints')
    if (done.every(Boolean)) this.#triggers.written(service, members)
  }

  async #write(
    method: 'POST' | 'PUT',
    path: string,
    service: ServiceView,
    content: SliceContent,
    since: number | undefined,
    resourceVersion?: string,
  ): Promise<boolean> {
    const { api, log } = this.#settings
    const { name, labels, ...rest } = content
    const metadata = {
      name,
      namespace: service.namespace,
      labels,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(since === undefined ? {} : { annotations: { [triggerTimeAnnotation]: new Date(since).toISOString() } }),
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Service',
          name: service.name,
          uid: service.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    }
    const body = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata, ...rest }
    return await tryWrite(
      log,
      `write EndpointSlice ${service.namespace}/${name} of Service ${service.name}: ${rest.endpoints.length} endpoints`,
      () => api.request(method, path, { body }),
    )
  }

  async #remove({ namespace, name, resourceVersion }: SliceView, reason: string): Promise<void> {
    const { api, log } = this.#settings
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } }
    await tryWrite(log, `delete EndpointSlice ${namespace}/${name}: ${reason}`, () =>
      api.request('DELETE', `${slicesPath(namespace)}/${name}`, { body }),
    )
  }
}

/**
 * The time of the change that a slice reports, for the annotation with which proxies compute the network programming
 * latency. Like the real controller (endpointslice/trigger_time_tracker.go), it is the earliest of the changes that
 * this write is the first to report.
 */
class TriggerTimes {
  /** By the Service's uid: the `readySince` of each pod in the last write, by the pod's uid. */
  readonly #written = new Map<string, ReadonlyMap<string, number>>()

  /** @returns ms since the epoch; undefined when no change has a time, for example when a pod was removed. */
  since(service: ServiceView, pods: readonly PodView[]): number | undefined {
    const before = this.#written.get(service.uid)
    const changed = pods
      .filter(({ uid, readySince }) => readySince > (before?.get(uid) ?? 0))
      .map(({ readySince }) => readySince)
    if (before === undefined) changed.push(service.createdAt)
    return changed.length === 0 ? undefined : Math.min(...changed)
  }

  /** Must be called after all slices of the Service were written; a failed write has reported nothing. */
  written(service: ServiceView, pods: readonly PodView[]): void {
    this.#written.set(service.uid, new Map(pods.map(({ uid, readySince }) => [uid, readySince])))
  }

  keepOnly(serviceUids: ReadonlySet<string>): void {
    for (const uid of this.#written.keys()) if (!serviceUids.has(uid)) this.#written.delete(uid)
  }
}
