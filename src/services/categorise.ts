// Which endpoints a service port's traffic may go to from this node (kube-proxy's CategorizeEndpoints).
import type { Endpoint } from './endpoint.ts'
import type { NodeFacts } from './options.ts'
import { type ServicePort, usesClusterEndpoints, usesLocalEndpoints } from './service-port.ts'

export interface Choice {
  /** For traffic that may go to any node. Empty also where there is no such traffic. */
  readonly cluster: readonly Endpoint[]
  /** For traffic that stays on this node. */
  readonly local: readonly Endpoint[]
  /** Either of them, each endpoint once, in the order given. */
  readonly reachable: readonly Endpoint[]
  /** Some endpoint, on whatever node, could serve. */
  readonly exists: boolean
  readonly topology: Topology
}

export interface Topology {
  /** Where the cluster endpoints are taken from. */
  readonly mode: 'everywhere' | 'same-zone' | 'same-node'
  /** Why hints that are there are not followed; undefined where they are, or where there are none. */
  readonly ignored: string | undefined
}

export function categorise(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  node: Pick<NodeFacts, 'name' | 'zone'>,
): Choice {
  const ready = endpoints.filter((endpoint) => endpoint.ready)
  const draining = endpoints.filter(isDraining)
  const topology = topologyOf(ready, node)
  const cluster = usesClusterEndpoints(port)
    ? firstFilled(
        ready.filter((endpoint) => isNear(endpoint, topology, node)),
        draining,
      )
    : []
  const local = usesLocalEndpoints(port) ? firstFilled(ready.filter(isLocal), draining.filter(isLocal)) : []
  const chosen = new Set([...cluster, ...local])
  return {
    cluster,
    local,
    reachable: endpoints.filter((endpoint) => chosen.has(endpoint)),
    exists: ready.length > 0 || draining.length > 0,
    topology,
  }
}

/** It ends but still answers: used only where nothing ready is left (KEP-1669). */
function isDraining({ ready, serving, terminating }: Endpoint): boolean {
  return !ready && serving && terminating
}

function isLocal({ local }: Endpoint): boolean {
  return local
}

function firstFilled(preferred: readonly Endpoint[], fallback: readonly Endpoint[]): readonly Endpoint[] {
  return preferred.length > 0 ? preferred : fallback
}

/** Hints are followed only where every ready endpoint has some and one of them is for us; nodes before zones. */
function topologyOf(ready: readonly Endpoint[], { name, zone }: Pick<NodeFacts, 'name' | 'zone'>): Topology {
  const reasons: string[] = []
  if (ready.some(({ nodeHints }) => nodeHints.length > 0)) {
    if (ready.some(({ nodeHints }) => nodeHints.length === 0))
      reasons.push('not every ready endpoint has a hint for nodes')
    else if (!ready.some(({ nodeHints }) => nodeHints.includes(name))) reasons.push(`no hint names node ${name}`)
    else return { mode: 'same-node', ignored: undefined }
  }
  if (ready.some(({ zoneHints }) => zoneHints.length > 0)) {
    if (ready.some(({ zoneHints }) => zoneHints.length === 0))
      reasons.push('not every ready endpoint has a hint for zones')
    else if (zone === undefined) reasons.push(`node ${name} has no label topology.kubernetes.io/zone`)
    else if (!ready.some(({ zoneHints }) => zoneHints.includes(zone))) reasons.push(`no hint names zone ${zone}`)
    else return { mode: 'same-zone', ignored: reasons[0] }
  }
  return { mode: 'everywhere', ignored: reasons.length === 0 ? undefined : reasons.join(', ') }
}

function isNear(
  { zoneHints, nodeHints }: Endpoint,
  { mode }: Topology,
  { name, zone }: Pick<NodeFacts, 'name' | 'zone'>,
): boolean {
  if (mode === 'same-node') return nodeHints.includes(name)
  return mode === 'everywhere' || (zone !== undefined && zoneHints.includes(zone))
}
