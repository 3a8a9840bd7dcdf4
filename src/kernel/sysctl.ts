// Kernel parameters below /proc/sys. What lies below net/ there is that of the reader's own namespace, so another one's
// is read by a process inside it.
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { CommandError } from './command-error.ts'
import { runInShell, type ShellCommandOptions } from './shell-command.ts'
import type { ShellWorkers } from './shell-workers.ts'

/**
 * Our own. A container's /proc/sys is read-only unless it is privileged, and AppArmor's usual profile refuses to write
 * there even then; so the DaemonSet mounts the node's parameters of the network, which are all that we write, a second
 * time.
 */
const ownRoot = existsSync('/host/proc/sys/net') ? '/host/proc/sys' : '/proc/sys'

/**
 * @param key "net/ipv4/ip_forward": slashes, since interface names hold dots. Undefined where the kernel has no such
 * key.
 */
export async function readOwnSysctl(key: string): Promise<string | undefined> {
  const path = sysctlPath(key, ownRoot)
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(`cat ${path}`, error)
  }
}

/** @throws {CommandError} of kind `missing` where the kernel has no such key. */
export async function writeOwnSysctl(key: string, value: string): Promise<void> {
  const path = sysctlPath(key, ownRoot)
  try {
    await writeFile(path, value, { flag: 'r+' })
  } catch (error) {
    throw fileError(`echo ${value} >${path}`, error)
  }
}

/** {@link readOwnSysctl} for the namespace that `options.enter` leads into. */
export async function readSysctlInside(
  workers: ShellWorkers,
  key: string,
  options: ShellCommandOptions,
): Promise<string | undefined> {
  const { stdout, stderr } = await runInShell(workers, ['cat', sysctlPath(key)], { ...options, accept: ['missing'] })
  return stderr === '' ? stdout.trim() : undefined
}

/** {@link writeOwnSysctl} for the namespace that `options.enter` leads into. */
export async function writeSysctlInside(
  workers: ShellWorkers,
  key: string,
  value: string,
  options: ShellCommandOptions,
): Promise<void> {
  // A shell of its own, so that the file is opened inside: a redirection of the worker would open ours. And one that
  // opens to write would first try to create.
  const script = '[ -e "$2" ] || { echo "$2: No such file or directory" >&2; exit 1; }; printf %s "$1" >"$2"'
  await runInShell(workers, ['sh', '-c', script, 'sysctl', value, sysctlPath(key)], options)
}

function sysctlPath(key: string, root = '/proc/sys'): string {
  if (!/^[\w.:@-]+(\/[\w.:@-]+)+$/.test(key) || key.split('/').includes('..'))
    throw new TypeError(`Expected a key like net/ipv4/ip_forward, got \`${key.slice(0, 80)}\``)
  return `${root}/${key}`
}

function fileError(command: string, error: unknown): CommandError {
  const kind = isMissing(error) ? 'missing' : 'other'
  return new CommandError({
    kind,
    command,
    stderr: error instanceof Error ? error.message : String(error),
    cause: error,
  })
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
