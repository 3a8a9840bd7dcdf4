// Announces load balancer addresses outside the cluster: one route of the outside client for each address, with all
// announcing nodes as next hops. In a real network a router would learn these routes by BGP.
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
   * Replaces the routes of the outside client.
   * @throws {Error} when `ip` failed; the next call tries all changes again.
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
      this.#log.debug({ lines }, 'routes of the outside client changed')
      if (failed) throw new Error(`ip ${args.join(' ')}: ${stderr} (${lines.join('; ')})`)
    }
    this.#announced = routes
  }
}

/** Returns lines for `ip -batch`. `flush`, unlike `del`, accepts that a route does not exist. */
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
