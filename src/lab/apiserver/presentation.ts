// The two forms of objects in responses: the objects themselves, or rows of a Table if the client asks for one (Accept:
// application/json;as=Table;...).
import { asServed, storedAs } from './events.ts'
import { type StoreEvent, type WatchEventType, watchLine } from './event-window.ts'
import { apiVersionOf, type Resource } from './resources.ts'
import type { StoredObject } from './stored-object.ts'
import { badRequest } from './status-error.ts'
import { TableWriter, type TableVersion } from './tables/table-writer.ts'

/** For one response: the first event of a watch of Tables has the column definitions, the others do not. */
export interface Presentation {
  /** Returns the JSON of one object, for a response or for a watch event. */
  one(stored: StoredObject): string
  /** Returns the JSON of a list, in pieces. */
  list(metadata: object, items: readonly StoredObject[]): Iterable<string>
  /** Returns a line of a watch. */
  event(type: WatchEventType, event: StoreEvent): string
  bookmark(revision: number, initialEventsEnd: boolean): string
}

/**
 * Chooses the form of a response.
 * @param accept the Accept header: its first media type that the server supports is used.
 * @throws StatusError 400 for an unknown includeObject.
 */
export function presentationFor(resource: Resource, accept: string, query: URLSearchParams): Presentation {
  const version = tableVersion(accept)
  if (version === undefined) return objectPresentation(resource)
  const include = query.get('includeObject') || 'Metadata'
  if (include !== 'None' && include !== 'Metadata' && include !== 'Object')
    throw badRequest(`Expected includeObject to be None, Metadata or Object, got \`${include}\``)
  return tablePresentation(resource, new TableWriter(resource, version, include))
}

function tableVersion(accept: string): TableVersion | undefined {
  for (const part of accept.split(',')) {
    const [type, ...parameters] = part.split(';').map((text) => text.trim())
    if (type !== 'application/json' && type !== '*/*' && type !== 'application/*') continue
    const named = new Map(parameters.map((parameter) => parameter.split('=', 2) as [string, string | undefined]))
    if (!named.has('as')) return undefined
    const version = named.get('v')
    if (named.get('as') === 'Table' && named.get('g') === 'meta.k8s.io' && (version === 'v1' || version === 'v1beta1'))
      return version
  }
  return undefined
}

function objectPresentation(resource: Resource): Presentation {
  const isStoredVersion = storedAs(resource) === resource
  const json = (stored: StoredObject): string =>
    isStoredVersion ? stored.json : JSON.stringify(asServed(resource, stored.object))
  return {
    one: json,
    list: (metadata, items) => listJson(resource, metadata, items, json),
    event: (type, event) => {
      if (isStoredVersion) return event.line(type)
      const stored = event.objectFor(type)
      return watchLine(type, stored === undefined ? 'null' : json(stored))
    },
    bookmark: (revision, initialEventsEnd) =>
      watchLine(
        'BOOKMARK',
        JSON.stringify({
          kind: resource.kind,
          apiVersion: apiVersionOf(resource),
          metadata: bookmarkMetadata(revision, initialEventsEnd),
        }),
      ),
  }
}

function tablePresentation(resource: Resource, writer: TableWriter): Presentation {
  return {
    one: (stored) => writer.table({ resourceVersion: String(stored.revision) }, [stored.object]),
    list: (metadata, items) => [
      writer.table(
        metadata,
        items.map(({ object }) => object),
      ),
    ],
    event: (type, event) => {
      const stored = event.objectFor(type)
      return watchLine(
        type,
        stored === undefined ? 'null' : writer.table({ resourceVersion: String(stored.revision) }, [stored.object]),
      )
    },
    bookmark: (revision, initialEventsEnd) => {
      const { kind } = resource
      const metadata = bookmarkMetadata(revision, initialEventsEnd)
      return watchLine(
        'BOOKMARK',
        writer.table({ resourceVersion: String(revision) }, [
          { kind, apiVersion: apiVersionOf(resource), metadata: { name: '', ...metadata } },
        ]),
      )
    },
  }
}

/** @param initialEventsEnd marks the end of the initial events of a WatchList (KEP-3157). */
function bookmarkMetadata(
  revision: number,
  initialEventsEnd: boolean,
): { resourceVersion: string; annotations?: Record<string, string> } {
  return {
    resourceVersion: String(revision),
    ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  }
}

function* listJson(
  resource: Resource,
  metadata: object,
  items: readonly StoredObject[],
  json: (stored: StoredObject) => string,
): Iterable<string> {
  const head = `"kind":"${resource.kind}List","apiVersion":"${apiVersionOf(resource)}"`
  yield `{${head},"metadata":${JSON.stringify(metadata)},"items":[`
  let separator = ''
  for (const stored of items) {
    yield separator + json(stored)
    separator = ','
  }
  yield ']}\n'
}
