// Where the programs we drive are, found once, and how their children are started.
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { basename, join } from 'node:path'
import { CommandError } from './command-error.ts'

/** Messages are read by {@link classifyFailure}, so they must come untranslated. */
export const programEnvironment: NodeJS.ProcessEnv = { ...process.env, LC_ALL: 'C' }

/** Where the build puts our own programs: beside the bundle; from source it is the checkout's dist. */
export const builtPrograms =
  basename(import.meta.dirname) === 'dist' ? import.meta.dirname : join(import.meta.dirname, '../../dist')

// A pod's or a systemd unit's PATH often lacks the sbin directories.
const directories = [
  ...new Set([...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/bin', '/sbin', '/bin']),
].filter((path) => path.startsWith('/'))
const found = new Map<string, string>()

/** The absolute path of a program. @throws {CommandError} of kind `not-installed`. */
export function programPath(name: string): string {
  const known = found.get(name)
  if (known !== undefined) return known
  const path = directories.map((directory) => join(directory, name)).find(isExecutable)
  if (path === undefined)
    throw new CommandError({
      kind: 'not-installed',
      command: name,
      stderr: `${name}: not found in ${directories.join(':')}`,
    })
  found.set(name, path)
  return path
}

/**
 * Starts a long-lived child in a process group of its own, so that Ctrl-C on our terminal reaches us alone and we can
 * still use it to clean up. Its stdin is a pipe from us: a child that reads it ends with us, also after kill -9.
 */
export function startChild(program: string, args: readonly string[], stdio: StdioOptions): ChildProcess {
  return spawn(programPath(program), args, { stdio, env: programEnvironment, detached: true })
}

/**
 * What a shell says of a program that has gone since {@link programPath} found it; undefined where it failed to start
 * for another reason.
 */
export function goneProgram(name: string, failedStart: { code?: string | undefined } | undefined): string | undefined {
  return failedStart?.code === 'ENOENT' ? `${name}: not found` : undefined
}

/** Calls back once: when the child and its pipes are done, or with the reason why it could not be started. */
export function whenEnded(child: ChildProcess, ended: (failedStart: NodeJS.ErrnoException | undefined) => void): void {
  let done = false
  const end = (failedStart?: NodeJS.ErrnoException) => {
    if (!done) ended(failedStart)
    done = true
  }
  // Out of file descriptors or processes: then 'close' may never come.
  child.on('error', (error) => child.pid === undefined && end(error))
  child.on('close', () => end())
}

/** Ends a child and all that it started; nothing happens where it is gone already. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
