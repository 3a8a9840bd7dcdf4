// Load balancer addresses made known beyond the cluster: routes of the outside client, one per address, shared by all
// nodes that announce it. On a real network a router would have learnt them by BGP.
import { isDeepStrictEqual } from 'node:util'
import { execa } from 'execa'
import type { Logger } from 'pino'
import type { LoadBalancerRoutes } from './controllers/load-balancer-routes.ts'
import { type Lab, namespaceOf } from './layout.ts'

export class RouteAnnouncer {
  readonly #lab: Lab
  readonly #log: Pick<Logger, 'debug'>
  #announced: LoadBalancerRoutes = new Map()

  constructor(lab: Lab, log: Pick<Logger, 'debug'>) {
    this.#lab = lab
    this.#log = log
  }

  /**
   * Makes the outside client's routes these.
   * @throws {Error} when it could not; the next call tries all of it again.
   */
  async announce(routes: LoadBalancerRoutes): Promise<void> {
    if (isDeepStrictEqual(routes, this.#announced)) return
    const lines = routeChanges(this.#announced, routes)
    if (lines.length > 0) {
      const args = ['-n', namespaceOf(this.#lab, 'outside'), '-force', '-batch', '-']
      const { failed, stderr } = await execa('ip', args, {
        input: lines.join('\n'),
        reject: false,
        env: { LC_ALL: 'C' },
      })
      this.#log.debug({ lines }, 'routes of the outside client')
      if (failed) throw new Error(`ip ${args.join(' ')}: ${stderr} (${lines.join('; ')})`)
    }
    this.#announced = routes
  }
}

/** Lines for `ip -batch`; flush, unlike del, takes a route that is not there for gone. */
export function routeChanges(before: LoadBalancerRoutes, after: LoadBalancerRoutes): string[] {
  const gone = [...before.keys()].filter(
    (address) => (before.get(address)?.length ?? 0) > 0 && (after.get(address)?.length ?? 0) === 0,
  )
  const changed = [...after].filter(
    ([address, nodes]) => nodes.length > 0 && !isDeepStrictEqual(before.get(address), nodes),
  )
  return [
    ...gone.map((address) => `route flush exact ${address}/32`),
    ...changed.map(
      ([address, nodes]) =>
        `route replace ${address}/32 ${nodes.map((node) => `nexthop via ${node} dev eth0`).join(' ')}`,
    ),
  ]
}
