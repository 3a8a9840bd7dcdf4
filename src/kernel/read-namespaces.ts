// `ip -j netns list-id`: which named namespaces ours has an id for.
import * as z from 'zod'
import { isNamespaceName, namespacePath } from './netns.ts'
import { type Reader, readList } from './read-json.ts'

const namespaceShape = z.object({ nsid: z.number(), name: z.string().optional() })

/** @returns id -> path of those that have a name in /run/netns. */
export async function readNamespacePaths(reader: Reader): Promise<ReadonlyMap<number, string>> {
  const listed = await readList(reader, ['ip', '-j', 'netns', 'list-id'], namespaceShape, (raw) => raw)
  return new Map(
    listed.flatMap(({ nsid, name }) =>
      name !== undefined && isNamespaceName(name) ? [[nsid, namespacePath(name)] as const] : [],
    ),
  )
}
