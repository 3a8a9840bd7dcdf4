// How a Service's endpoints are laid out in EndpointSlices: pure. An endpoint stays in the slice it is in; what is new
// fills up slices that have room, and an empty slice goes. So a change of one pod writes one object.
import { isDeepStrictEqual } from 'node:util'
import { hashOf } from './deployment-view.ts'
import { manager, managedByLabel, type SliceEndpoint, type SliceView, serviceNameLabel } from './endpoint-slice-view.ts'
import { type EndpointGroup, groupKey } from './service-endpoints.ts'
import type { ServiceView } from './service-view.ts'

/** As the real controller's --max-endpoints-per-slice. */
export const maxEndpoints = 100

export interface SlicePlan {
  readonly create: readonly SliceContent[]
  readonly update: readonly (SliceContent & Pick<SliceView, 'resourceVersion'>)[]
  readonly remove: readonly SliceView[]
}

export type SliceContent = Pick<SliceView, 'name' | 'labels' | 'addressType' | 'ports' | 'endpoints'>

/** @param slices those of this Service that there are now. */
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
  /** Undefined for one that is yet to be made. */
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
  // The fullest first: the fewest slices in the end.
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
 * The names follow from what is there: a step repeated on a snapshot that is behind asks for a slice that exists
 * already, which the API server refuses.
 */
function freeName({ name, uid }: ServiceView, key: string, taken: Set<string>): string {
  for (let slot = 0; ; slot++) {
    const candidate = `${name}-${hashOf(`${uid} ${key} ${slot}`).slice(0, 5)}`
    if (taken.has(candidate)) continue
    taken.add(candidate)
    return candidate
  }
}
