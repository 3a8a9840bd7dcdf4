// Two Services may claim one address and port: an external IP that somebody else has, a node port written by hand. The
// older Service keeps it, then the one whose name comes first; never the one that happens to be written first. The
// other's rules for it are left out and it is reported.
import type { Problem } from '../cluster/problem.ts'
import type { FilterRule, Frontend, RenderedPort } from './rendered.ts'
import { regardingService, type ServicePort } from './service-port.ts'

export interface Settled {
  readonly frontends: readonly Frontend[]
  readonly filter: readonly FilterRule[]
  /** One for each claim that lost. */
  readonly problems: readonly Problem[]
}

type Claim = Pick<Frontend | FilterRule, 'kind' | 'address' | 'port' | 'protocol' | 'owner'>

/** The order that decides, and in which rules stand: by age, then by name. */
export function byPrecedence(a: ServicePort, b: ServicePort): number {
  return (
    a.createdAt - b.createdAt ||
    order(a.namespace, b.namespace) ||
    order(a.name, b.name) ||
    order(a.portName, b.portName) ||
    order(a.protocol, b.protocol)
  )
}

/** @param ports in the order of {@link byPrecedence} */
export function settleClaims(ports: readonly RenderedPort[]): Settled {
  const holders = new Map<string, ServicePort>()
  const problems = new Map<string, Problem>()
  const isHeld = (claim: Claim): boolean => {
    if (claim.kind === 'health-check') return true
    const key = `${claim.address ?? 'node'} ${claim.port}/${claim.protocol}`
    const holder = holders.get(key) ?? claim.owner
    holders.set(key, holder)
    if (holder === claim.owner) return true
    problems.set(key + claim.owner.id, {
      sentence: refusal(claim, holder),
      reason: `${claim.kind}-taken`,
      // Every node has the same Services, and decides alike.
      event: {
        regarding: regardingService(claim.owner),
        reason: kinds[claim.kind].taken,
        action: 'ProgramService',
        everyNode: true,
      },
    })
    return false
  }
  // Port by port: who has an address but no endpoint claims it in table filter alone, and keeps it all the same.
  const kept = ports.map(({ frontends, filter }) => ({
    frontends: frontends.filter(isHeld),
    filter: filter.filter(isHeld),
  }))
  return {
    frontends: kept.flatMap(({ frontends }) => frontends),
    filter: kept.flatMap(({ filter }) => filter),
    problems: [...problems.values()],
  }
}

function refusal({ kind, address, port, protocol, owner }: Claim, holder: ServicePort): string {
  const what =
    address === undefined
      ? `node port ${port}/${protocol}`
      : `${kinds[kind].name} ${address} with port ${port}/${protocol}`
  return `Service ${owner.id} does not get ${what}: ${holder.id} has it already; give one of them another`
}

/** How people and Events call each kind. */
const kinds: Record<Claim['kind'], { name: string; taken: string }> = {
  'cluster-ip': { name: 'cluster IP', taken: 'ClusterIPTaken' },
  'external-ip': { name: 'external IP', taken: 'ExternalIPTaken' },
  'load-balancer': { name: 'load balancer IP', taken: 'LoadBalancerIPTaken' },
  'node-port': { name: 'node port', taken: 'NodePortTaken' },
  'health-check': { name: 'health check port', taken: 'HealthCheckPortTaken' },
}

function order(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
