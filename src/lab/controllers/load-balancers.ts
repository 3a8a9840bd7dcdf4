// Assigns an address from a pool to each Service of type LoadBalancer, like a cloud or MetalLB, and takes it back.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { tryWrite, type ControllerLog } from './try-write.ts'
import { servicePath, type ServiceView } from './service-view.ts'

export interface LoadBalancersSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly pool: readonly string[]
  readonly log: ControllerLog
}

export class LoadBalancers {
  readonly #settings: LoadBalancersSettings
  /** Assigned addresses by the Service's uid. The snapshot may not show them yet. */
  readonly #assigned = new Map<string, string>()
  /** Services without an address because the pool is empty. Each is logged once. */
  readonly #exhausted = new Set<string>()

  constructor(settings: LoadBalancersSettings) {
    this.#settings = settings
  }

  async reconcile(services: ReadonlyMap<string, ServiceView>): Promise<void> {
    const wanting = new Map([...services.values()].filter(isOurs).map((service) => [service.uid, service]))
    for (const uid of this.#assigned.keys()) if (!wanting.has(uid)) this.#assigned.delete(uid)
    for (const uid of this.#exhausted) if (!wanting.has(uid)) this.#exhausted.delete(uid)
    for (const service of services.values())
      if (service.type !== 'LoadBalancer' && service.loadBalancerAddresses.length > 0)
        await this.#patchStatus(service, [])
    const held = new Set([
      ...this.#assigned.values(),
      ...[...wanting.values()].flatMap(({ loadBalancerAddresses }) => loadBalancerAddresses),
    ])
    for (const service of [...wanting.values()].toSorted(oldestFirst)) {
      if (service.loadBalancerAddresses.length === 0 && !this.#assigned.has(service.uid))
        await this.#assign(service, held)
    }
  }

  async #assign(service: ServiceView, held: Set<string>): Promise<void> {
    const { pool, log } = this.#settings
    const address = pool.find((candidate) => !held.has(candidate))
    if (address === undefined) {
      if (!this.#exhausted.has(service.uid))
        log.warn({ service: `${service.namespace}/${service.name}`, pool: pool.length }, 'load balancer pool exhausted')
      this.#exhausted.add(service.uid)
      return
    }
    held.add(address)
    if (await this.#patchStatus(service, [{ ip: address, ipMode: 'VIP' }])) this.#assigned.set(service.uid, address)
  }

  async #patchStatus(service: ServiceView, ingress: readonly object[]): Promise<boolean> {
    const { api, log } = this.#settings
    const body = { metadata: { uid: service.uid }, status: { loadBalancer: { ingress } } }
    const list = ingress.length === 0 ? 'none' : JSON.stringify(ingress)
    const what = `set load balancer addresses of Service ${service.namespace}/${service.name}: ${list}`
    return await tryWrite(log, what, () =>
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
