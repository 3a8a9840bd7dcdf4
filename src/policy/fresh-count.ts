// Counters of the kernel begin anew when their set is written anew; what is made of them for people only goes up.

/**
 * How much a counter has gone up since the last time.
 * @param before what each said then
 * @param now filled with what each says
 * @param count undefined where it was not read: nothing is known to have come
 */
export function freshCount(
  key: string,
  count: number | undefined,
  before: ReadonlyMap<string, number>,
  now: Map<string, number>,
): number {
  const known = before.get(key) ?? 0
  now.set(key, count ?? known)
  if (count === undefined) return 0
  return count < known ? count : count - known
}
