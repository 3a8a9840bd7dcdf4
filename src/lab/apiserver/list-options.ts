// Parses the query of a list or watch.
import type { KubeObject } from './kube-object.ts'
import type { Resource } from './resources.ts'
import { parseFieldSelector, parseLabelSelector, type Selector } from './selectors.ts'
import { badRequest, invalid } from './status-error.ts'

export interface ListOptions {
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  /** Combines the namespace with both selectors. */
  readonly matches: Selector
  /** 0 for no limit. */
  readonly limit: number
  readonly continueToken: string
  /** Undefined when absent or empty; 0 accepts any version. */
  readonly resourceVersion: number | undefined
  readonly resourceVersionMatch: string
  readonly timeoutSeconds: number | undefined
  readonly allowBookmarks: boolean
  readonly sendInitialEvents: boolean | undefined
}

/**
 * Parses and checks the options like the real server (ValidateListOptions).
 * @throws StatusError 400 for values that cannot be parsed, 422 for options that exclude each other.
 */
export function parseListOptions(
  resource: Resource,
  namespace: string | undefined,
  query: URLSearchParams,
  isWatch: boolean,
): ListOptions {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '')
  const fields = parseFieldSelector(resource, query.get('fieldSelector') ?? '')
  const options: ListOptions = {
    namespace,
    matches: (object: KubeObject) =>
      (namespace === undefined || object.metadata.namespace === namespace) && labels(object) && fields(object),
    limit: numberOf(query, 'limit') ?? 0,
    continueToken: query.get('continue') ?? '',
    resourceVersion: numberOf(query, 'resourceVersion'),
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
    timeoutSeconds: numberOf(query, 'timeoutSeconds'),
    allowBookmarks: booleanOf(query, 'allowWatchBookmarks') ?? false,
    sendInitialEvents: booleanOf(query, 'sendInitialEvents'),
  }
  const reject = (field: string, message: string): never => {
    throw invalid(resource, '', [{ reason: 'FieldValueForbidden', field, message: `Forbidden: ${message}` }])
  }
  const { resourceVersionMatch: match, sendInitialEvents } = options
  if (isWatch) {
    if (sendInitialEvents === undefined && match !== '')
      reject('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')
    if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
      reject('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  } else {
    if (sendInitialEvents !== undefined) reject('sendInitialEvents', 'sendInitialEvents is forbidden for list')
    if (match !== '' && options.resourceVersion === undefined)
      reject('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided')
    if (!['', 'Exact', 'NotOlderThan'].includes(match))
      reject('resourceVersionMatch', `supported values are Exact and NotOlderThan, got \`${match}\``)
  }
  return options
}

export function isWatch(query: URLSearchParams): boolean {
  return booleanOf(query, 'watch') ?? false
}

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name) ?? ''
  if (text === '') return undefined
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`Expected ${name} to be a whole number, got \`${text}\``)
  return Number(text)
}

/** Converts like Go's decoder of query parameters: a bare `?watch` is true. */
function booleanOf(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  return !['false', '0', 'False', 'FALSE', 'f', 'F'].includes(text)
}
