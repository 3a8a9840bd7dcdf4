// How objects are written into answers: as themselves, or as rows of a Table where the client asked for one (Accept:
// application/json;as=Table;...).
import { asServed, storedAs } from './event-versions.ts'
import { type StoreEvent, type WatchEventType, watchLine } from './event-window.ts'
import { apiVersionOf, type Resource } from './resources.ts'
import type { StoredObject } from './stored-object.ts'
import { badRequest } from './status-error.ts'
import { TableWriter, type TableVersion } from './tables/table-writer.ts'

/** For one answer alone: the first event of a watch of Tables differs from the rest. */
export interface Presentation {
  /** JSON of one object, as an answer or as what a watch event is about. */
  one(stored: StoredObject): string
  /** JSON of a list, in pieces. */
  list(metadata: object, items: readonly StoredObject[]): Iterable<string>
  /** A line of a watch. */
  event(type: WatchEventType, event: StoreEvent): string
  bookmark(revision: number, initialEventsEnd: boolean): string
}

/**
 * @param accept the request's header: its first media type that we can write is used.
 * @throws StatusError 400 for an includeObject that is none.
 */
export function presentationFor(resource: Resource, accept: string, query: URLSearchParams): Presentation {
  const version = tableVersion(accept)
  if (version === undefined) return asThemselves(resource)
  const include = query.get('includeObject') || 'Metadata'
  if (include !== 'None' && include !== 'Metadata' && include !== 'Object')
    throw badRequest(`Expected includeObject to be None, Metadata or Object, got \`${include}\``)
  return asTable(resource, new TableWriter(resource, version, include))
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

function asThemselves(resource: Resource): Presentation {
  const isStoredFace = storedAs(resource) === resource
  const json = (stored: StoredObject): string =>
    isStoredFace ? stored.json : JSON.stringify(asServed(resource, stored.object))
  return {
    one: json,
    list: (metadata, items) => listJson(resource, metadata, items, json),
    event: (type, event) => {
      if (isStoredFace) return event.line(type)
      const shown = event.shown(type)
      return watchLine(type, shown === undefined ? 'null' : json(shown))
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

function asTable(resource: Resource, writer: TableWriter): Presentation {
  return {
    one: (stored) => writer.table({ resourceVersion: String(stored.revision) }, [stored.object]),
    list: (metadata, items) => [
      writer.table(
        metadata,
        items.map(({ object }) => object),
      ),
    ],
    event: (type, event) => {
      const shown = event.shown(type)
      return watchLine(
        type,
        shown === undefined ? 'null' : writer.table({ resourceVersion: String(shown.revision) }, [shown.object]),
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
  yield `{"kind":"${resource.kind}List","apiVersion":"${apiVersionOf(resource)}","metadata":${JSON.stringify(metadata)},"items":[`
  let separator = ''
  for (const stored of items) {
    yield separator + json(stored)
    separator = ','
  }
  yield ']}\n'
}
