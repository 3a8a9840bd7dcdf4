// One watch request and its events.
import type { ApiConnection, Query, StreamLimits } from './api-connection.ts'
import { apiErrorOf, apiErrorOfEvent } from './api-error.ts'
import { asKubeObject, type KubeObject } from './kube-object.ts'

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  /**
   * No event up to this resourceVersion is missing. `listed` is true for the bookmark after the last object of a
   * streamed list (annotation k8s.io/initial-events-end).
   */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly listed: boolean }

/** The server ended the watch with an ERROR event: our resourceVersion is too old, or it cannot serve the watch. */
export class WatchError extends Error {
  override readonly name = 'WatchError'
}

/** ms of processing events after which the event loop gets a turn. */
const yieldAfterMs = 5

/**
 * Opens a watch.
 * @returns the events. The iterable ends when the server ends the watch. It throws {@link WatchError} for an ERROR
 * event, TypeError for a line that is not an event, and Error when the connection breaks.
 * @throws {ApiError} when the server rejects the watch.
 */
export async function openWatch(
  api: ApiConnection,
  path: string,
  query: Query,
  limits: StreamLimits,
): Promise<AsyncIterable<WatchEvent>> {
  const answer = await api.stream(path, { ...query, watch: true, allowWatchBookmarks: true }, limits)
  if (answer.status !== 200) throw apiErrorOf(`GET ${api.server}${path}`, answer, await textOf(answer.lines))
  return eventsOf(path, answer.lines)
}

async function* eventsOf(path: string, lines: AsyncIterable<Buffer>): AsyncGenerator<WatchEvent> {
  let resumedAt = performance.now()
  for await (const line of lines) {
    yield parseEvent(path, line)
    if (performance.now() - resumedAt < yieldAfterMs) continue
    await new Promise((resolve) => setImmediate(resolve))
    resumedAt = performance.now()
  }
}

function parseEvent(path: string, line: Buffer): WatchEvent {
  const { type, object } = parseLine(path, line)
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object: asKubeObject(object) }
    case 'BOOKMARK': {
      // A bookmark is an object of the watched type with no name.
      const { metadata } = object as { metadata?: Partial<KubeObject['metadata']> }
      return {
        type,
        resourceVersion: metadata?.resourceVersion ?? '',
        listed: metadata?.annotations?.['k8s.io/initial-events-end'] === 'true',
      }
    }
    case 'ERROR': {
      const cause = apiErrorOfEvent(`The watch of ${path}`, object)
      throw new WatchError(`The watch of ${path} ended with an error: ${cause.message}`, { cause })
    }
    default:
      throw new TypeError(`Expected a watch event from ${path}, got type \`${String(type)}\``)
  }
}

function parseLine(path: string, line: Buffer): { type?: unknown; object?: unknown } {
  const text = line.toString()
  try {
    return JSON.parse(text) as { type?: unknown; object?: unknown }
  } catch (error) {
    throw new TypeError(`Expected a watch event from ${path}, got \`${text.slice(0, 200)}\``, { cause: error })
  }
}

/** Reads the start of an error response: enough for a Status object. */
async function textOf(lines: AsyncIterable<Buffer>): Promise<string> {
  const kept: Buffer[] = []
  for await (const line of lines) {
    kept.push(line)
    if (kept.length === 100) break
  }
  return Buffer.concat(kept).toString()
}
