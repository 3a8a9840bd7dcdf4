/**
 * Awaits all promises to their end, then returns their values as Promise.all does.
 * @throws the error of the first rejected promise in the given order, so that the same failure is always reported alike
 */
export async function settleAll<T extends readonly unknown[]>(
  promises: T,
): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}
