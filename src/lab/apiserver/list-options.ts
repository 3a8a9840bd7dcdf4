// The query of a list or watch, parsed once.
import type { KubeObject } from './kube-object.ts'
import type { Resource } from './resources.ts'
import { parseFieldSelector, parseLabelSelector, type Selector } from './selectors.ts'
import { badRequest, invalid } from './status-error.ts'

export interface ListOptions {
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined
  /** Namespace and both selectors. */
  readonly matches: Selector
  /** 0: no limit. */
  readonly limit: number
  readonly continueToken: string
  /** Undefined where the client does not care (absent or empty); 0 means "anything you have". */
  readonly resourceVersion: number | undefined
  readonly resourceVersionMatch: string
  readonly timeoutSeconds: number | undefined
  readonly allowBookmarks: boolean
  readonly sendInitialEvents: boolean | undefined
}

/**
 * @throws StatusError 400 for what cannot be read, 422 for options that do not go together (as the real server:
 * ValidateListOptions).
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
  const refuse = (field: string, message: string): never => {
    throw invalid(resource, '', [{ reason: 'FieldValueForbidden', field, message: `Forbidden: ${message}` }])
  }
  const { resourceVersionMatch: match, sendInitialEvents } = options
  if (isWatch) {
    if (sendInitialEvents === undefined && match !== '')
      refuse('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')
    if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
      refuse('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  } else {
    if (sendInitialEvents !== undefined) refuse('sendInitialEvents', 'sendInitialEvents is forbidden for list')
    if (match !== '' && options.resourceVersion === undefined)
      refuse('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided')
    if (!['', 'Exact', 'NotOlderThan'].includes(match))
      refuse('resourceVersionMatch', `supported values are Exact and NotOlderThan, got \`${match}\``)
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

/** As Go's conversion of query parameters: a bare `?watch` is true. */
function booleanOf(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  return !['false', '0', 'False', 'FALSE', 'f', 'F'].includes(text)
}
