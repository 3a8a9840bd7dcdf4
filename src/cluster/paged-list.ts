// A whole list in pages: for servers that cannot stream one.
import type { ApiConnection, Query } from './api-connection.ts'
import { ApiError } from './api-error.ts'
import { asKubeObject } from './kube-object.ts'
import type { Refill } from './object-store.ts'

interface ListPage {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
  readonly items?: readonly unknown[] | null
}

const pageSize = 500

/**
 * Refills the store. A list that takes longer than the server remembers its beginning (410 on a `continue`) is asked
 * for once more in one piece.
 * @returns the resourceVersion to watch from. @throws {ApiError} on a refusal, {Error} when there was no answer.
 */
export async function pagedList(
  api: ApiConnection,
  path: string,
  selector: Query,
  limits: { signal: AbortSignal; headersTimeoutMs: number },
  refill: () => Refill,
): Promise<string> {
  const first = await readPage(api, path, { ...selector, limit: pageSize }, limits)
  try {
    return await readPages(api, path, selector, limits, first, refill())
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 410)) throw error
    return await readPages(api, path, selector, limits, await readPage(api, path, selector, limits), refill())
  }
}

async function readPages(
  api: ApiConnection,
  path: string,
  selector: Query,
  limits: { signal: AbortSignal; headersTimeoutMs: number },
  first: ListPage,
  into: Refill,
): Promise<string> {
  let page = first
  for (;;) {
    for (const item of page.items ?? []) if (item !== null) into.put(asKubeObject(item))
    const next = page.metadata?.continue
    if (!next) break
    page = await readPage(api, path, { ...selector, limit: pageSize, continue: next }, limits)
  }
  const resourceVersion = page.metadata?.resourceVersion
  if (!resourceVersion) throw new TypeError(`Expected a list with a metadata.resourceVersion from ${path}, got none`)
  into.commit()
  return resourceVersion
}

async function readPage(
  api: ApiConnection,
  path: string,
  query: Query,
  limits: { signal: AbortSignal; headersTimeoutMs: number },
): Promise<ListPage> {
  return (await api.request<ListPage | undefined>('GET', path, { query, ...limits })) ?? {}
}
