// Events, which two API versions serve: v1 and events.k8s.io/v1 are the same stored objects with other field names, as
// on the real server (kubernetes pkg/apis/events/v1/conversion.go). The store has the field names of v1, which kubectl
// reads. Events expire after an hour.
import { type KubeObject, textAt } from './kube-object.ts'
import { apiVersionOf, events, eventsV1, type Resource } from './resources.ts'
import type { Table } from './store.ts'

/** The fields whose names differ: in v1, and in events.k8s.io/v1. */
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

/** Returns the resource whose table holds the objects of this one. */
export function storedAs(resource: Resource): Resource {
  return resource === eventsV1 ? events : resource
}

/** Converts an object from the version that a client writes to the stored one; returns a copy. */
export function asStored(resource: Resource, object: KubeObject): KubeObject {
  return resource === eventsV1 ? withNames(object, toStored, apiVersionOf(events)) : object
}

/** Converts a stored object to the version of the resource; returns a copy. */
export function asServed(resource: Resource, object: KubeObject): KubeObject {
  return resource === eventsV1 ? withNames(object, toServed, apiVersionOf(eventsV1)) : object
}

function withNames(object: KubeObject, names: ReadonlyMap<string, string>, apiVersion: string): KubeObject {
  const fields = Object.entries(object).map(([field, value]) => [names.get(field) ?? field, value] as const)
  return { ...(Object.fromEntries(fields) as KubeObject), apiVersion }
}

/** The real server's default (--event-ttl). */
const ttlMs = 3_600_000
const sweepMs = 60_000

/**
 * Removes expired Events every minute.
 * @returns a function that stops it.
 */
export function expireEvents(table: Table): () => void {
  const sweep = setInterval(() => removeExpired(table, Date.now()), sweepMs).unref()
  return () => clearInterval(sweep)
}

/**
 * Removes the Events that were last seen more than an hour ago.
 * @param now ms since the epoch.
 */
export function removeExpired(table: Table, now: number): void {
  for (const stored of table.list()) {
    const last =
      textAt(stored.object, 'series.lastObservedTime') ||
      textAt(stored.object, 'lastTimestamp') ||
      textAt(stored.object, 'eventTime') ||
      stored.object.metadata.creationTimestamp
    if (last !== undefined && now - Date.parse(last) > ttlMs) table.remove(stored)
  }
}
