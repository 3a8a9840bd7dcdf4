// Lists a collection in pages, for servers that cannot stream a list (WatchList).
import type { ApiConnection, Query } from './api-connection.ts'
import { ApiError } from './api-error.ts'
import { asKubeObject } from './kube-object.ts'
import type { Replacement } from './object-store.ts'

interface ListPage {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
  readonly items?: readonly unknown[] | null
}

const pageSize = 500

/**
 * Replaces the objects of a store by a list. When a `continue` token expires (410) because the list took too long, it
 * lists once more without pages.
 * @param replace starts a replacement in the store.
 * @returns the resourceVersion to watch from.
 * @throws {ApiError} when the server rejects a request.
 * @throws {Error} when there is no response.
 */
export async function pagedList(
  api: ApiConnection,
  path: string,
  selector: Query,
  limits: { signal: AbortSignal; headersTimeoutMs: number },
  replace: () => Replacement,
): Promise<string> {
  const first = await readPage(api, path, { ...selector, limit: pageSize }, limits)
  try {
    return await readPages(api, path, selector, limits, first, replace())
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 410)) throw error
    return await readPages(api, path, selector, limits, await readPage(api, path, selector, limits), replace())
  }
}

async function readPages(
  api: ApiConnection,
  path: string,
  selector: Query,
  limits: { signal: AbortSignal; headersTimeoutMs: number },
  first: ListPage,
  into: Replacement,
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
