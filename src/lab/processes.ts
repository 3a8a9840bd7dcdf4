// The processes of a lab. They are detached from the command that starts them, and are found by their network namespace
// instead of by records, so that none survives `lab down`, even if others were killed before.
import { spawn } from 'node:child_process'
import { openSync, closeSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { basename, join } from 'node:path'
import { type Lab, type Member, namespacePath } from './layout.ts'

/** The folder of the build. The bundle itself is in it; from source it is the checkout's dist. */
export const dist =
  basename(import.meta.dirname) === 'dist' ? import.meta.dirname : join(import.meta.dirname, '../../dist')

/** Returns the command that runs this program with other arguments. */
export function thisProgram(...args: readonly string[]): string[] {
  const [, script = join(dist, 'fairlead.mjs')] = process.argv
  return [process.execPath, '--enable-source-maps', script, ...args]
}

/**
 * Starts a command in the member's network namespace. It outlives this process, and its output is appended to a file.
 * @returns its pid, once it is in the namespace.
 */
export async function startIn(
  lab: Lab,
  member: Member,
  command: readonly string[],
  options: { log: string; env?: Readonly<Record<string, string>> },
): Promise<number> {
  const log = openSync(options.log, 'a', 0o644)
  const child = spawn('nsenter', [`--net=${namespacePath(lab, member)}`, '--', ...command], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.env },
  })
  closeSync(log)
  const { promise: ended, resolve } = Promise.withResolvers<string>()
  child.on('error', ({ message }) => resolve(message))
  child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  while (child.pid === undefined || !isIn(lab, member, child.pid)) {
    const reason = await Promise.race([ended, sleep(5)])
    if (reason !== undefined) throw new Error(`${command[0]} did not start (${reason}): see ${options.log}`)
  }
  child.unref()
  return child.pid
}

/** Returns the pids in the members' network namespaces, without those of a node's pods, which end with its PID 1. */
export function processesIn(lab: Lab, members: readonly Member[]): number[] {
  const inodes = new Set(members.flatMap((member) => inodeOf(namespacePath(lab, member)) ?? []))
  if (inodes.size === 0) return []
  return pidsInProc().filter((pid) => inodes.has(inodeOf(`/proc/${pid}/ns/net`) ?? -1))
}

export function isIn(lab: Lab, member: Member, pid: number | 'self'): boolean {
  const inode = inodeOf(namespacePath(lab, member))
  return inode !== undefined && inode === inodeOf(`/proc/${pid}/ns/net`)
}

/** Kills every process in the members' network namespaces, and waits until they and their descendants are gone. */
export async function killAllIn(lab: Lab, members: readonly Member[]): Promise<void> {
  const seen = new Set<number>()
  for (;;) {
    const living = processesIn(lab, members).filter((pid) => pid !== process.pid)
    for (const pid of living) {
      seen.add(pid)
      killQuietly(pid)
    }
    if (living.length === 0 && ![...seen].some(isRunning)) return
    await sleep(20)
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

/**
 * Whether a process runs. A zombie does not: a PID 1 becomes one only after its pid namespace is empty, and the machine
 * reaps it later.
 */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch (error) {
    if (isGone(error)) return false
    throw error
  }
}

export function pidsInProc(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/**
 * Whether /proc or kill reports that a process has ended (ENOENT, ESRCH). The `ns` link of a kernel thread or a zombie
 * may give EACCES.
 */
function isGone(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(String(error.code))
  )
}
