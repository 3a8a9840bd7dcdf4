// Keeps the EndpointSlices of every Service that has a selector. Those of others (no selector, another manager) are
// left alone.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { attempt, type ControllerLog } from './attempt.ts'
import { managedByLabel, manager, type SliceView, slicesPath, triggerTimeAnnotation } from './endpoint-slice-view.ts'
import type { NodeView } from './node-view.ts'
import type { PodView } from './pod-view.ts'
import { endpointGroups } from './service-endpoints.ts'
import type { ServiceView } from './service-view.ts'
import { planSlices, type SliceContent } from './slice-plan.ts'
import { TriggerTimes } from './trigger-times.ts'

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

  async pass({ services, pods, nodes, slices }: EndpointSources): Promise<void> {
    const podsOf = Map.groupBy(pods.values(), ({ namespace }) => namespace)
    const managed = [...slices.values()].filter(({ labels }) => labels[managedByLabel] === manager)
    const slicesOf = Map.groupBy(managed, ({ serviceUid }) => serviceUid)
    const alive = [...services.values()].filter(({ deleted }) => !deleted)
    for (const service of alive) {
      const own = slicesOf.get(service.uid) ?? []
      slicesOf.delete(service.uid)
      if (service.selector !== undefined && service.type !== 'ExternalName')
        await this.#keep(service, podsOf.get(service.namespace) ?? [], nodes, own)
    }
    for (const slice of [...slicesOf.values()].flat()) await this.#remove(slice, 'its Service is gone')
    this.#triggers.keepOnly(new Set(alive.map(({ uid }) => uid)))
  }

  async #keep(
    service: ServiceView,
    pods: readonly PodView[],
    nodes: ReadonlyMap<string, NodeView>,
    slices: readonly SliceView[],
  ): Promise<void> {
    const groups = endpointGroups(service, pods, nodes)
    const named = new Set(groups.flatMap(({ endpoints }) => endpoints.map(({ targetRef }) => targetRef.uid)))
    const members = pods.filter(({ uid }) => named.has(uid))
    const since = this.#triggers.since(service, members)
    const plan = planSlices(service, groups, slices)
    // What is new before what goes: a pod that moves from slice to slice is never without one.
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
    if (done.every(Boolean)) this.#triggers.told(service, members)
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
    return await attempt(
      log,
      `EndpointSlice ${service.namespace}/${name} of Service ${service.name}: ${rest.endpoints.length} endpoints`,
      () => api.request(method, path, { body }),
    )
  }

  async #remove({ namespace, name, resourceVersion }: SliceView, because: string): Promise<void> {
    const { api, log } = this.#settings
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } }
    await attempt(log, `EndpointSlice ${namespace}/${name} is deleted: ${because}`, () =>
      api.request('DELETE', `${slicesPath(namespace)}/${name}`, { body }),
    )
  }
}
