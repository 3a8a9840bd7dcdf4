// Distributes the endpoints of a Service over EndpointSlices. Pure. An endpoint stays in its slice, new endpoints fill
// slices with free space, and empty slices are deleted. So a change of one pod writes one object.
import { isDeepStrictEqual } from 'node:util'
import { hashOf } from './deployment-view.ts'
import { manager, managedByLabel, type SliceEndpoint, type SliceView, serviceNameLabel } from './endpoint-slice-view.ts'
import { type EndpointGroup, groupKey } from './service-endpoints.ts'
import type { ServiceView } from './service-view.ts'

/** The real controller's default for --max-endpoints-per-slice. */
export const maxEndpoints = 100

export interface SlicePlan {
  readonly create: readonly SliceContent[]
  readonly update: readonly (SliceContent & Pick<SliceView, 'resourceVersion'>)[]
  readonly remove: readonly SliceView[]
}

export type SliceContent = Pick<SliceView, 'name' | 'labels' | 'addressType' | 'ports' | 'endpoints'>

/**
 * Computes the writes.
 * @param slices the existing slices of the Service.
 */
export function planSlices(
  service: ServiceView,
  groups: readonly EndpointGroup[],
  slices: readonly SliceView[],
): SlicePlan {
  const labels = labelsOf(service)
  const taken = new Set(slices.map(({ name }) => name))
  const ofGroup = Map.groupBy(slices, groupKey)
  const [create, update, remove]: [SliceContent[], (SliceContent & { resourceVersion: string })[], SliceView[]] = [
    [],
    [],
    [],
  ]
  for (const group of groups) {
    const key = groupKey(group)
    const filled = fill(group.endpoints, ofGroup.get(key) ?? [])
    ofGroup.delete(key)
    for (const { slice, endpoints } of filled) {
      const content = { labels, addressType: group.addressType, ports: group.ports, endpoints }
      if (slice === undefined) create.push({ ...content, name: freeName(service, key, taken) })
      else if (endpoints.length === 0) remove.push(slice)
      else if (!isDeepStrictEqual(slice.endpoints, endpoints) || !isDeepStrictEqual(slice.labels, labels))
        update.push({ ...content, name: slice.name, resourceVersion: slice.resourceVersion })
    }
  }
  remove.push(...[...ofGroup.values()].flat())
  return { create, update, remove }
}

interface Filled {
  /** Undefined for a slice that does not exist yet. */
  readonly slice: SliceView | undefined
  readonly endpoints: SliceEndpoint[]
}

function fill(wanted: readonly SliceEndpoint[], slices: readonly SliceView[]): Filled[] {
  const left = new Map(wanted.map((endpoint) => [identityOf(endpoint), endpoint]))
  const filled: Filled[] = slices.map((slice) => ({
    slice,
    endpoints: slice.endpoints.flatMap((endpoint) => take(left, identityOf(endpoint))),
  }))
  const added = [...left.values()]
  // Fill the fullest slices first, which leads to the fewest slices.
  for (const { endpoints } of filled.toSorted((a, b) => b.endpoints.length - a.endpoints.length))
    endpoints.push(...added.splice(0, Math.max(0, maxEndpoints - endpoints.length)))
  while (added.length > 0) filled.push({ slice: undefined, endpoints: added.splice(0, maxEndpoints) })
  return filled
}

function take(left: Map<string, SliceEndpoint>, identity: string): SliceEndpoint[] {
  const endpoint = left.get(identity)
  left.delete(identity)
  return endpoint === undefined ? [] : [endpoint]
}

function identityOf({ targetRef, addresses }: SliceEndpoint): string {
  return `${targetRef.uid} ${addresses[0]}`
}

function labelsOf({ labels, name, headless }: ServiceView): Record<string, string> {
  return {
    ...labels,
    [serviceNameLabel]: name,
    [managedByLabel]: manager,
    ...(headless ? { 'service.kubernetes.io/headless': '' } : {}),
  }
}

/**
 * Derives a name from the existing ones. A plan repeated on an outdated snapshot chooses the name of a slice that
 * exists already, which the API server rejects.
 */
function freeName({ name, uid }: ServiceView, key: string, taken: Set<string>): string {
  for (let slot = 0; ; slot++) {
    const candidate = `${name}-${hashOf(`${uid} ${key} ${slot}`).slice(0, 5)}`
    if (taken.has(candidate)) continue
    taken.add(candidate)
    return candidate
  }
}
