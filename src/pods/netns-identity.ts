// Whether CNI_NETNS is, for us, the namespace that the runtime means. Synchronous: these are looks at /run and /proc, a
// microsecond each.
import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { CniError, cniCodes } from './cni/cni-error.ts'

/**
 * @param path CNI_NETNS
 * @param seenByRuntime st_dev:st_ino as the CNI binary saw it, outside our mount namespace
 * @throws {CniError} invalid netns: gone, the node's own, or another one than the runtime's
 */
export function checkNetns(path: string, seenByRuntime: string | undefined): void {
  const own = statSync('/proc/self/ns/net')
  const seen = statSync(path, { throwIfNoEntry: false })
  if (seen === undefined && seenByRuntime === undefined)
    throw new CniError(cniCodes.invalidNetns, `network namespace ${path} does not exist`)
  // The runtime's own program sees the same there, so it is no matter of mounts.
  if (seen !== undefined && seen.dev !== own.dev && seenByRuntime === `${seen.dev}:${seen.ino}`) {
    throw new CniError(cniCodes.invalidNetns, `CNI_NETNS ${path} is not a network namespace`)
  }
  // All namespaces lie on one nsfs; what lies elsewhere is the empty file that a namespace is mounted over.
  if (
    seen === undefined ||
    seen.dev !== own.dev ||
    (seenByRuntime !== undefined && seenByRuntime !== `${seen.dev}:${seen.ino}`)
  ) {
    const directory = dirname(path)
    throw new CniError(cniCodes.invalidNetns, `the agent does not see the runtime's namespace at ${path}`, {
      details: `${directory} is not propagated into the agent's pod: mount it with mountPropagation: HostToContainer`,
    })
  }
  if (seen.ino === own.ino) throw new CniError(cniCodes.invalidNetns, `network namespace ${path} is the node's own`)
}

/**
 * Whether it is one namespace, by whatever path. Of one that is gone the number may be another's by now: then nothing
 * of it is left that could be mistaken.
 */
export function isSameNamespace(one: NamespaceNames, other: NamespaceNames): boolean {
  return one.netns === other.netns || (one.netnsId !== undefined && one.netnsId === other.netnsId)
}

interface NamespaceNames {
  readonly netns: string | undefined
  readonly netnsId: string | undefined
}

/**
 * True when nothing is at the path though its directory is there: a directory that is not mounted into our pod proves
 * nothing.
 */
export function netnsIsGone(path: string): boolean {
  return !existsSync(path) && existsSync(dirname(path))
}
