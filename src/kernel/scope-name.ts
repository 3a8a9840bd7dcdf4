const names: Readonly<Record<string, string>> = { 0: 'global', 200: 'site', 253: 'link', 254: 'host', 255: 'nowhere' }

/** The name that `ip` takes for a scope which `ip -N` prints as a number (kernel rtnetlink.h, rt_scope_t). */
export function scopeName(number: string | undefined): string | undefined {
  return number === undefined ? undefined : (names[number] ?? number)
}
