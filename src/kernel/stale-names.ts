// A running ip, bridge or tc remembers the index of every device name it has met. When another process deletes the
// device and makes it again, the session goes on with the old index, and the kernel answers "No such device", "Invalid
// argument" or, for a route, "No such process" (measured, iproute2 6.1). So what a session reports as failed in such a
// way is tried once more by a tool that remembers nothing.
import type { BatchSession } from './batch-session.ts'
import type { Change } from './change.ts'
import type { Failure } from './kernel.ts'

/**
 * Applies the changes through the session, and those whose failure may come from its memory again through `once`.
 * @param once carries out changes in a new process.
 */
export async function applyDespiteStaleNames(
  session: BatchSession,
  changes: readonly Change[],
  once: (changes: readonly Change[]) => Promise<readonly Failure[]>,
): Promise<readonly Failure[]> {
  const failures = await session.apply(changes)
  const doubtful = failures.filter(mayBeStale)
  if (doubtful.length === 0) return failures
  const confirmed = [...(await once(doubtful.map(({ change }) => change)))]
  if (confirmed.length < doubtful.length) session.renew()
  // Both lists are in the order of the changes.
  return failures.flatMap((failure) => {
    if (!doubtful.includes(failure)) return failure
    return confirmed[0]?.change === failure.change ? (confirmed.shift() ?? []) : []
  })
}

/** A name that is not found has been asked for just now. */
function mayBeStale({ error }: Failure): boolean {
  return (
    (error.kind === 'missing' || error.kind === 'other') &&
    !/Cannot find device|Device does not exist|Invalid "netns" value/.test(error.stderr)
  )
}
