// Events have two faces, as on the real server: v1 and events.k8s.io/v1 show the same stored objects under other field
// names (kubernetes pkg/apis/events/v1/conversion.go). Kept is the face of v1, which kubectl reads.
import type { KubeObject } from './kube-object.ts'
import { apiVersionOf, events, eventsV1, type Resource } from './resources.ts'

/** Field of v1 and field of events.k8s.io/v1; the others have one name. */
const renamed = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
] as const

const toStored = new Map<string, string>(renamed.map(([stored, served]) => [served, stored]))
const toServed = new Map<string, string>(renamed)

/** The resource whose table holds the objects of this one. */
export function storedAs(resource: Resource): Resource {
  return resource === eventsV1 ? events : resource
}

/** @param object as a client of the resource writes it; not changed. */
export function asStored(resource: Resource, object: KubeObject): KubeObject {
  return resource === eventsV1 ? withNames(object, toStored, apiVersionOf(events)) : object
}

/** @param object as it is stored; not changed. */
export function asServed(resource: Resource, object: KubeObject): KubeObject {
  return resource === eventsV1 ? withNames(object, toServed, apiVersionOf(eventsV1)) : object
}

function withNames(object: KubeObject, names: ReadonlyMap<string, string>, apiVersion: string): KubeObject {
  const fields = Object.entries(object).map(([field, value]) => [names.get(field) ?? field, value] as const)
  return { ...(Object.fromEntries(fields) as KubeObject), apiVersion }
}
