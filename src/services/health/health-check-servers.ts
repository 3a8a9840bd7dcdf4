// The HTTP servers behind health check node ports. They follow the desired checks, one update at a time. A port that
// cannot be opened, because a kube-proxy or another program holds it, is tried again; a load balancer that asks meanwhile
// is refused, and takes that for no.
import { createServer, type Server } from 'node:http'
import type { Logger } from 'pino'
import type { Problem } from '../../cluster/problem.ts'
import type { Address, Family } from '../../net/address.ts'
import { regardingService } from '../service-port.ts'
import { serviceHealth } from './proxy-health.ts'
import type { ServiceHealthCheck } from './service-health-checks.ts'

export interface HealthCheckServersSettings {
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** As /livez of the proxy. */
  readonly proxyHealthy: () => boolean
  /** Who else of the node needs a TCP port, whether or not it has it yet. */
  readonly neededBy: (port: number) => string | undefined
  /** Where to listen in a family. */
  readonly addresses: (family: Family) => 'all' | readonly Address[]
}

interface Running {
  readonly server: Server
  check: ServiceHealthCheck
}

export class HealthCheckServers implements AsyncDisposable {
  readonly #settings: HealthCheckServersSettings
  /** By "IP:PORT NS/NAME": a port that goes from one Service to another changes its server. */
  readonly #running = new Map<string, Running>()
  /** What could not be opened: told of once, and counted for as long as it lasts. */
  readonly #failed = new Map<string, Problem>()
  #turn: Promise<void> = Promise.resolve()
  #checks: readonly ServiceHealthCheck[] = []

  constructor(settings: HealthCheckServersSettings) {
    this.#settings = settings
  }

  /**
   * Makes the servers these. To be called after a sync that went through: a count that packets do not follow yet would
   * lie. Never rejects.
   */
  async follow(checks: readonly ServiceHealthCheck[]): Promise<void> {
    this.#checks = checks
    this.#turn = this.#turn.then(() => this.#follow(checks))
    await this.#turn
  }

  /** Tries again to open the ports that could not be opened. Never rejects. */
  async retry(): Promise<void> {
    if (this.#failed.size > 0) await this.follow(this.#checks)
  }

  /** How many servers answer. */
  get size(): number {
    return this.#running.size
  }

  /** Ports that cannot be opened. */
  get problems(): readonly Problem[] {
    return [...this.#failed.values()]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.follow([])
  }

  async #follow(checks: readonly ServiceHealthCheck[]): Promise<void> {
    const places = checks.flatMap((check) => this.#placesOf(check).map((host) => ({ host, check })))
    const wanted = new Map(places.map((place) => [keyOf(place), place]))
    for (const key of this.#failed.keys()) if (!wanted.has(key)) this.#failed.delete(key)
    const gone = [...this.#running].filter(([key]) => !wanted.has(key))
    await Promise.all(gone.map(async ([key, { server }]) => (this.#running.delete(key), await close(server))))
    for (const [key, { host, check }] of wanted) {
      const running = this.#running.get(key)
      if (running === undefined) await this.#open(key, host, check)
      else running.check = check
    }
  }

  #placesOf({ family }: ServiceHealthCheck): readonly string[] {
    const addresses = this.#settings.addresses(family)
    return addresses === 'all' ? [family === 4 ? '0.0.0.0' : '::'] : addresses
  }

  async #open(key: string, host: string, check: ServiceHealthCheck): Promise<void> {
    const { log, proxyHealthy, neededBy } = this.#settings
    const service = `${check.namespace}/${check.name}`
    const server = createServer((_, response) => {
      const { status, headers, body } = serviceHealth(running.check, running.check.localEndpoints, proxyHealthy())
      response.writeHead(status, headers).end(body)
    })
    const running: Running = { server, check }
    try {
      const other = neededBy(check.port)
      if (other !== undefined) throw new Error(`${other} needs it`)
      await listening(server, { host, port: check.port, ipv6Only: check.family === 6 })
    } catch (error) {
      const sentence = `the health check node port of Service ${service} cannot be opened: ${(error as Error).message}; it is tried again every few seconds`
      // As kube-proxy's Event.
      const event = { regarding: regardingService(check), reason: 'FailedToStartServiceHealthcheck', action: 'Listen' }
      if (!this.#failed.has(key)) log.warn({ service, port: check.port, reason: event.reason }, sentence)
      this.#failed.set(key, { sentence, reason: 'health-check-node-port-closed', event })
      return
    }
    if (this.#failed.delete(key))
      log.info({ service, port: check.port }, `the health check node port of Service ${service} is open`)
    this.#running.set(key, running)
  }
}

function keyOf({ host, check }: { host: string; check: ServiceHealthCheck }): string {
  return `${host} ${check.port} ${check.namespace}/${check.name}`
}

async function listening(server: Server, at: { host: string; port: number; ipv6Only: boolean }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  server.closeAllConnections()
  await promise
}
