// Gives Services of type LoadBalancer an address from a pool, as a cloud or MetalLB would, and takes it back.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { attempt, type ControllerLog } from './attempt.ts'
import { servicePath, type ServiceView } from './service-view.ts'

export interface LoadBalancersSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly pool: readonly string[]
  readonly log: ControllerLog
}

export class LoadBalancers {
  readonly #settings: LoadBalancersSettings
  /** Addresses given that the snapshot may not show yet, by the Service's uid. */
  readonly #given = new Map<string, string>()
  /** Services that were told that the pool is empty: not again at every pass. */
  readonly #refused = new Set<string>()

  constructor(settings: LoadBalancersSettings) {
    this.#settings = settings
  }

  async pass(services: ReadonlyMap<string, ServiceView>): Promise<void> {
    const wanting = new Map([...services.values()].filter(isOurs).map((service) => [service.uid, service]))
    for (const uid of this.#given.keys()) if (!wanting.has(uid)) this.#given.delete(uid)
    for (const uid of this.#refused) if (!wanting.has(uid)) this.#refused.delete(uid)
    for (const service of services.values())
      if (service.type !== 'LoadBalancer' && service.loadBalancerAddresses.length > 0) await this.#report(service, [])
    const held = new Set([
      ...this.#given.values(),
      ...[...wanting.values()].flatMap(({ loadBalancerAddresses }) => loadBalancerAddresses),
    ])
    for (const service of [...wanting.values()].toSorted(oldestFirst)) {
      if (service.loadBalancerAddresses.length === 0 && !this.#given.has(service.uid)) await this.#give(service, held)
    }
  }

  async #give(service: ServiceView, held: Set<string>): Promise<void> {
    const { pool, log } = this.#settings
    const address = pool.find((candidate) => !held.has(candidate))
    if (address === undefined) {
      if (!this.#refused.has(service.uid))
        log.warn(
          `Service ${service.namespace}/${service.name} gets no load balancer address: all ${pool.length} are in use`,
        )
      this.#refused.add(service.uid)
      return
    }
    held.add(address)
    if (await this.#report(service, [{ ip: address, ipMode: 'VIP' }])) this.#given.set(service.uid, address)
  }

  async #report(service: ServiceView, ingress: readonly object[]): Promise<boolean> {
    const { api, log } = this.#settings
    const body = { metadata: { uid: service.uid }, status: { loadBalancer: { ingress } } }
    const what = `load balancer addresses of Service ${service.namespace}/${service.name}: ${ingress.length === 0 ? 'none' : JSON.stringify(ingress)}`
    return await attempt(log, what, () =>
      api.request('PATCH', `${servicePath(service)}/status`, { body, contentType: 'application/merge-patch+json' }),
    )
  }
}

function isOurs({ type, loadBalancerClass, deleted }: ServiceView): boolean {
  return type === 'LoadBalancer' && loadBalancerClass === '' && !deleted
}

function oldestFirst(a: ServiceView, b: ServiceView): number {
  return a.createdAt - b.createdAt || (a.uid < b.uid ? -1 : 1)
}
