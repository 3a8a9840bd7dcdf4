// What a running program and all that it has started cost, from /proc.
import { readdirSync, readFileSync } from 'node:fs'

/** MB that the process itself has resident, and had at most; what its children have is not in it. */
export function residentMegabytes(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const megabytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024
  return { now: megabytes('VmRSS'), peak: megabytes('VmHWM') }
}

/** Seconds of CPU of the process, of its descendants that run, and of those that they have waited for. */
export function cpuSeconds(pid: number): number {
  const stats = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (statOf(name) ?? []) : []))
  const sum = (of: number): number =>
    stats.reduce(
      (total, each) => total + (each.pid === of ? each.seconds : 0) + (each.parent === of ? sum(each.pid) : 0),
      0,
    )
  return sum(pid)
}

interface Stat {
  readonly pid: number
  readonly parent: number
  readonly seconds: number
}

/** Undefined for one that has just ended. */
function statOf(pid: string): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may hold spaces. Then: state, parent, ...; utime, stime, cutime and cstime are 14th to
    // 17th of all, in ticks of 10 ms.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    return {
      pid: Number(pid),
      parent: fields[1] ?? 0,
      seconds: [11, 12, 13, 14].reduce((total, at) => total + (fields[at] ?? 0), 0) / 100,
    }
  } catch {
    return undefined
  }
}
