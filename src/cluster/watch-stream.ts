// One watch request and the events it brings.
import type { ApiConnection, Query, StreamLimits } from './api-connection.ts'
import { apiErrorOf, apiErrorOfEvent } from './api-error.ts'
import { asKubeObject, type KubeObject } from './kube-object.ts'

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  /**
   * Nothing happened up to here. `listed`: all that existed when the watch began has been sent (annotation
   * k8s.io/initial-events-end).
   */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly listed: boolean }

/** The server ended the watch with an ERROR event: its place in history is gone, or the server cannot serve it. */
export class WatchBroken extends Error {
  override readonly name = 'WatchBroken'
}

/** ms of events after which the event loop gets its turn. */
const turnMs = 5

/**
 * @returns the events, once the server has accepted the watch.
 * @throws {ApiError} when it has not. The events throw {@link WatchBroken} for an ERROR event, {TypeError} for what is
 * no event, and {Error} when the connection breaks; they end when the server ends the watch.
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
  let turn = performance.now()
  for await (const line of lines) {
    yield parseEvent(path, line)
    if (performance.now() - turn < turnMs) continue
    await new Promise((resolve) => setImmediate(resolve))
    turn = performance.now()
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
      // A bookmark is an object of the watched type without a name.
      const { metadata } = object as { metadata?: Partial<KubeObject['metadata']> }
      return {
        type,
        resourceVersion: metadata?.resourceVersion ?? '',
        listed: metadata?.annotations?.['k8s.io/initial-events-end'] === 'true',
      }
    }
    case 'ERROR': {
      const cause = apiErrorOfEvent(`The watch of ${path}`, object)
      throw new WatchBroken(`The watch of ${path} ended with an error: ${cause.message}`, { cause })
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

/** The start of an error's body: enough for a Status object. */
async function textOf(lines: AsyncIterable<Buffer>): Promise<string> {
  const kept: Buffer[] = []
  for await (const line of lines) {
    kept.push(line)
    if (kept.length === 100) break
  }
  return Buffer.concat(kept).toString()
}
