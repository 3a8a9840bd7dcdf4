// A Service may claim an address and port that another Service has (an external IP, a node port written by hand), or
// that nodes need for themselves. Of two Services the older keeps it, then the one whose name comes first, never the one
// that happens to be written first. The rules of the refused claim are left out, and it is reported.
import type { Problem } from '../cluster/problem.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
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

/**
 * Decides who gets what.
 * @param ports in the order of {@link byPrecedence}
 * @param needed what no Service gets
 */
export function settleClaims(ports: readonly RenderedPort[], needed: ProtectedPorts): Settled {
  const holders = new Map<string, ServicePort>()
  const problems = new Map<string, Problem>()
  const isHeld = (claim: Claim): boolean => {
    if (claim.kind === 'health-check') return true
    const key = `${claim.address ?? 'node'} ${claim.port}/${claim.protocol}`
    const neededBy = neededByNodes(claim, needed)
    if (neededBy !== undefined) {
      problems.set(key + claim.owner.id, problem(claim, 'protected', protectionSentence(claim, neededBy)))
      return false
    }
    const holder = holders.get(key) ?? claim.owner
    holders.set(key, holder)
    if (holder === claim.owner) return true
    problems.set(key + claim.owner.id, problem(claim, 'taken', conflictSentence(claim, holder)))
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

/**
 * Lists the claims that {@link settleClaims} refuses because nodes need them: two sets of protected ports that give the
 * same list make the same rules.
 */
export function protectedClaims(ports: readonly RenderedPort[], needed: ProtectedPorts): string[] {
  return ports
    .flatMap(({ frontends, filter }) => [...frontends, ...filter])
    .filter((claim) => neededByNodes(claim, needed) !== undefined)
    .map((claim) => `${claim.owner.id} ${place(claim)}`)
    .toSorted()
}

/** No node has a ClusterIP as its address, and the Service default/kubernetes must have its own. */
function neededByNodes({ kind, address, port, protocol }: Claim, needed: ProtectedPorts): string | undefined {
  return kind === 'cluster-ip' || kind === 'health-check' ? undefined : needed.neededBy(address, protocol, port)
}

function problem(claim: Claim, why: 'taken' | 'protected', sentence: string): Problem {
  return {
    sentence,
    reason: `${claim.kind}-${why}`,
    event: {
      regarding: regardingService(claim.owner),
      reason: `${kinds[claim.kind].event}${why === 'taken' ? 'Taken' : 'Protected'}`,
      action: 'ProgramService',
      // Every node has the same Services and Nodes, and decides alike.
      everyNode: true,
    },
  }
}

function conflictSentence(claim: Claim, holder: ServicePort): string {
  return `Service ${claim.owner.id} does not get ${place(claim)}: ${holder.id} has it already; give one of them another`
}

function protectionSentence(claim: Claim, neededBy: string): string {
  return `Service ${claim.owner.id} does not get ${place(claim)}: ${neededBy} needs it; give the Service another, or set protectNodeTraffic to false`
}

function place({ kind, address, port, protocol }: Claim): string {
  return address === undefined
    ? `node port ${port}/${protocol}`
    : `${kinds[kind].name} ${address} with port ${port}/${protocol}`
}

/** How people and Events call each kind. */
const kinds: Record<Claim['kind'], { name: string; event: string }> = {
  'cluster-ip': { name: 'cluster IP', event: 'ClusterIP' },
  'external-ip': { name: 'external IP', event: 'ExternalIP' },
  'load-balancer': { name: 'load balancer IP', event: 'LoadBalancerIP' },
  'node-port': { name: 'node port', event: 'NodePort' },
  'health-check': { name: 'health check port', event: 'HealthCheckPort' },
}

export function order(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
