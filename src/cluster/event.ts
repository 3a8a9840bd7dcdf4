// An Event as Fairlead means it, and the object of events.k8s.io/v1 that says it to the API server.
import { createHash } from 'node:crypto'

/** The object that an Event is about. */
export interface EventRegarding {
  /** "v1" */
  readonly apiVersion: string
  readonly kind: string
  /** Undefined for what belongs to the cluster, such as a Node. */
  readonly namespace?: string
  readonly name: string
  readonly uid: string
}

export interface ClusterEvent {
  readonly regarding: EventRegarding
  readonly type: 'Normal' | 'Warning'
  /** Why, in CamelCase, for machines: "ExternalIPTaken". */
  readonly reason: string
  /** What was attempted, in CamelCase, for machines: "ProgramService". */
  readonly action: string
  /** For people: what, where, and what to do. More than 1,024 bytes are cut off, which is the API's limit. */
  readonly note: string
  /** Every node reports the same, so one Event of any of them is enough. */
  readonly everyNode?: boolean
}

/** What a room is given: an Event is never a reason to wait or to fail. */
export interface EventSink {
  record(event: ClusterEvent): void
}

/** Who reports. */
export interface EventReporter {
  /** A qualified name: "fairlead.dev/agent". */
  readonly controller: string
  /** This process among others of the controller: the name of the node. */
  readonly instance: string
}

/** How often an Event was seen, and when last (ms since the epoch). */
export interface EventSeries {
  readonly count: number
  readonly lastObservedAt: number
}

/** Limits of the API server (pkg/apis/core/validation/events.go). */
const longestNote = 1024
const longestInstance = 128
/** With the dot and 16 hexadecimal digits at most 253 characters, the limit of names. */
const longestPrefix = 236

/** Events of objects that belong to the cluster are kept in this namespace, as those of kubelets are. */
export function namespaceOf({ namespace = 'default' }: EventRegarding): string {
  return namespace
}

/**
 * Names an Event after what it says, so that an agent that restarts goes on with the Event that is there, and nodes
 * that report the same of an object share one.
 * @returns a name that the API accepts, "web.5f0c...", the same for the same event and reporter.
 */
export function eventName(event: ClusterEvent, { controller, instance }: EventReporter): string {
  const { regarding, type, reason, action, note, everyNode = false } = event
  const said = [regarding.kind, regarding.uid, type, reason, action, note, controller, everyNode ? '' : instance]
  const hash = createHash('sha256').update(JSON.stringify(said)).digest('hex').slice(0, 16)
  return `${regarding.name.slice(0, longestPrefix).replace(/[-.]+$/, '')}.${hash}`
}

/**
 * Writes an Event for POST.
 * @param firstObservedAt ms since the epoch
 * @param series undefined where it was seen once: the API takes no count of 1
 * @returns the body, as JSON takes it
 */
export function eventBody(
  event: ClusterEvent,
  reporter: EventReporter,
  firstObservedAt: number,
  series: EventSeries | undefined,
): object {
  const { regarding, type, reason, action, note } = event
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: eventName(event, reporter), namespace: namespaceOf(regarding) },
    eventTime: microTime(firstObservedAt),
    type,
    reason,
    action,
    note: shortened(note),
    regarding,
    reportingController: reporter.controller,
    reportingInstance: reporter.instance.slice(0, longestInstance),
    ...(series === undefined ? {} : seriesPatch(series)),
  }
}

/** Writes a merge patch: the only field of an Event that may change. */
export function seriesPatch({ count, lastObservedAt }: EventSeries): object {
  return { series: { count, lastObservedTime: microTime(lastObservedAt) } }
}

/** A MicroTime has exactly six digits after the point (k8s.io/apimachinery meta/v1). */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z')
}

/** In bytes, without a character that is cut in half. */
function shortened(note: string): string {
  if (Buffer.byteLength(note) <= longestNote) return note
  const ellipsis = '...'
  const kept = new TextDecoder().decode(Buffer.from(note).subarray(0, longestNote - ellipsis.length), { stream: true })
  return `${kept}${ellipsis}`
}
