/**
 * As Promise.all, but waits for the end of all, and throws what the first of them in their order threw: work that fails
 * the same way is told of the same way, and none goes on unseen.
 */
export async function settleAll<T extends readonly unknown[]>(
  promises: T,
): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}
