// Creates, updates and deletes objects of any kind like kubectl. The path of each kind comes from discovery.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import * as z from 'zod'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { ApiError } from '../cluster/api-error.ts'

const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().nullish(),
    resourceVersion: z.string().nullish(),
  }),
})

const listSchema = z.object({ kind: z.literal('List'), items: z.array(z.unknown()).nullish() })

export type Manifest = z.infer<typeof manifestSchema>

/** The result for one object; `object` is "pod/web". */
export interface Outcome {
  readonly object: string
  readonly namespace: string | undefined
  readonly outcome: 'created' | 'configured' | 'unchanged' | 'deleted' | 'not found'
}

/** ms to wait for a deletion: more than a pod's default grace period. */
const deletionWaitMs = 60_000

/**
 * Reads all documents of a file.
 * @param file a path, or "-" for stdin
 * @param leftOut as in {@link parseManifests}
 * @throws {Error} that names the file and document
 */
export function readManifests(file: string, leftOut?: (problem: string) => void): Manifest[] {
  const text = readFileSync(file === '-' ? 0 : file, 'utf8')
  return parseManifests(text, file === '-' ? 'stdin' : file, leftOut)
}

/**
 * Reads all documents of a text, and the items of Lists.
 * @param source names the text in errors
 * @param leftOut receives one sentence for each document that is not a Kubernetes object; the others are returned. Without
 * it the first one is thrown
 * @throws {Error} for a text that is not YAML
 */
export function parseManifests(text: string, source: string, leftOut?: (problem: string) => void): Manifest[] {
  const documents = parseAllDocuments(text)
  return [...documents].flatMap((document, index) => {
    const where = `${source}, document ${index + 1}`
    const [problem] = document.errors
    if (problem !== undefined) throw new Error(`${where} is not YAML: ${problem.message.split('\n')[0]}`)
    const value: unknown = document.toJS()
    if (value === null) return []
    const list = listSchema.safeParse(value)
    const items = list.success ? (list.data.items ?? []) : [value]
    return items.flatMap((item, place) => {
      const manifest = manifestSchema.safeParse(item)
      if (manifest.success) return [manifest.data]
      const issue = manifest.error.issues[0]
      const what = list.success ? `${where}, item ${place + 1}` : where
      const field = issue?.path.join('.') || 'it'
      const problem = `${what} is not a Kubernetes object: ${field} is missing or wrong (${issue?.message})`
      if (leftOut === undefined) throw new Error(problem)
      leftOut(problem)
      return []
    })
  })
}

/** Creates the object, or patches the existing one with it. */
export async function applyObject(api: ApiConnection, manifest: Manifest): Promise<Outcome> {
  const place = await placeOf(api, manifest)
  const known = { object: place.label, namespace: place.namespace }
  try {
    await api.request('POST', place.collection, { body: manifest })
    return { ...known, outcome: 'created' }
  } catch (error) {
    if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error
  }
  const before = await api.request<Manifest>('GET', place.path)
  const after = await api.request<Manifest>('PATCH', place.path, {
    body: manifest,
    contentType: 'application/merge-patch+json',
  })
  return {
    ...known,
    outcome: before.metadata.resourceVersion === after.metadata.resourceVersion ? 'unchanged' : 'configured',
  }
}

/** Deletes the object and waits until it is gone. */
export async function deleteObject(api: ApiConnection, manifest: Manifest): Promise<Outcome> {
  const place = await placeOf(api, manifest)
  const known = { object: place.label, namespace: place.namespace }
  if (!(await exists(api.request('DELETE', place.path)))) return { ...known, outcome: 'not found' }
  const deadline = Date.now() + deletionWaitMs
  while (await exists(api.request('GET', place.path))) {
    if (Date.now() > deadline)
      throw new Error(
        `${place.label} still exists ${deletionWaitMs / 1000} s after its deletion: see the kubelet's log of its node`,
      )
    await sleep(50)
  }
  return { ...known, outcome: 'deleted' }
}

async function exists(request: Promise<unknown>): Promise<boolean> {
  try {
    await request
    return true
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false
    throw error
  }
}

interface Place {
  readonly collection: string
  readonly path: string
  readonly namespace: string | undefined
  readonly label: string
}

async function placeOf(api: ApiConnection, { apiVersion, kind, metadata }: Manifest): Promise<Place> {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const resource = await findResource(api, root, kind)
  if (resource === undefined) throw new Error(`the API server has no ${kind} in ${apiVersion}`)
  const namespace = resource.namespaced ? (metadata.namespace ?? 'default') : undefined
  const collection = `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${resource.name}`
  return {
    collection,
    path: `${collection}/${metadata.name}`,
    namespace,
    label: `${kind.toLowerCase()}/${metadata.name}`,
  }
}

const discovery = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
})

async function findResource(
  api: ApiConnection,
  root: string,
  kind: string,
): Promise<{ name: string; namespaced: boolean } | undefined> {
  try {
    const { resources } = discovery.parse(await api.request('GET', root))
    return resources.find((resource) => resource.kind === kind && !resource.name.includes('/'))
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  }
}
