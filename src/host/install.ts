// What has to lie on the node before a runtime can call us: the CNI binary and the directories. The CNI configuration
// is the agent's affair, for its presence says that pods can be served.
import { access, chmod, lstat, mkdir, open, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { builtPrograms } from '../kernel/programs.ts'

/** As the CNI configuration names it. */
export const cniBinaryName = 'fairlead-cni'
/**
 * Runtimes call a plugin of this name for lo. Ours is a link to the binary, which tells it from others' and makes it
 * follow every upgrade.
 */
export const loopbackName = 'loopback'

/** Where the build puts the binary. */
export const builtCniBinary = join(builtPrograms, cniBinaryName)

export interface InstallOptions {
  /** The binary to install. */
  readonly source: string
  readonly cniBinDir: string
  readonly cniConfDir: string
}

export interface Installed {
  readonly path: string
  /** `kept`: another's is there, and stays. */
  readonly state: 'installed' | 'unchanged' | 'kept'
}

/**
 * Can be repeated at any time, while pods start too: whoever executes the binary meets the old or the new one, never
 * half.
 * @throws {Error} of the file system.
 */
export async function install({ source, cniBinDir, cniConfDir }: InstallOptions): Promise<readonly Installed[]> {
  const directories = [await makeDirectory(cniBinDir), await makeDirectory(cniConfDir)]
  return [
    ...directories,
    await installBinary(source, join(cniBinDir, cniBinaryName)),
    await installLoopback(join(cniBinDir, loopbackName)),
  ]
}

async function makeDirectory(path: string): Promise<Installed> {
  return {
    path,
    state: (await mkdir(path, { recursive: true, mode: 0o755 })) === undefined ? 'unchanged' : 'installed',
  }
}

async function installBinary(source: string, path: string): Promise<Installed> {
  const wanted = await readFile(source)
  if (await isExecutable(path, wanted)) return { path, state: 'unchanged' }
  const temporary = `${path}.tmp`
  try {
    const file = await open(temporary, 'w', 0o755)
    try {
      await file.writeFile(wanted)
      await file.sync()
    } finally {
      await file.close()
    }
    // Whatever the umask took away.
    await chmod(temporary, 0o755)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  return { path, state: 'installed' }
}

async function isExecutable(path: string, wanted: Buffer): Promise<boolean> {
  try {
    const { mode } = await lstat(path)
    return (mode & 0o170777) === 0o100755 && wanted.equals(await readFile(path))
  } catch {
    // Not there, or nothing that could be executed: it is put there anew.
    return false
  }
}

/**
 * symlink(2) makes it or fails where anything is at the path: there is no moment in which another's could be replaced.
 */
async function installLoopback(path: string): Promise<Installed> {
  try {
    await symlink(cniBinaryName, path)
    return { path, state: 'installed' }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return { path, state: (await isOurLoopback(path)) ? 'unchanged' : 'kept' }
  }
}

/** Whether the plugin at the path is our binary beside it: a link to it, or a copy. */
export async function isOurLoopback(path: string): Promise<boolean> {
  const binary = join(path, '..', cniBinaryName)
  try {
    await access(binary)
    const [one, other] = [await stat(path), await stat(binary)]
    return (
      (one.dev === other.dev && one.ino === other.ino) ||
      (one.size === other.size && (await readFile(path)).equals(await readFile(binary)))
    )
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
