// The network configuration list that makes a runtime call us. Its presence is the node's "ready": cni-config/README.md
// explains each field.
import { mkdir, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { writeDurably } from '../../kernel/durable-file.ts'

/** Runtimes take the first file by name; flannel's is 10-flannel.conflist, kindnet's 10-kindnet.conflist. */
export const conflistName = '05-fairlead.conflist'

/**
 * The text of cni-config/05-fairlead.conflist. The same on every node and in every version: a runtime uses it for the
 * DEL of pods that an older one made.
 */
export function conflist(): string {
  const list = {
    cniVersion: '1.0.0',
    cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
    name: 'fairlead',
    plugins: [{ type: 'fairlead-cni', capabilities: { portMappings: true, bandwidth: true } }],
  }
  return `${JSON.stringify(list, null, 2)}\n`
}

/**
 * Puts the list there if it is not there with the same bytes: containerd takes a write lock to reload, and an ADD under
 * way holds it off. The temporary file is in the same directory, for a rename from elsewhere is not noticed, and ends
 * in .tmp, which no runtime loads.
 */
export async function installConflist(dir: string, text: string): Promise<'written' | 'unchanged'> {
  const path = join(dir, conflistName)
  if ((await present(readFile(path, 'utf8'))) === text) return 'unchanged'
  await mkdir(dir, { recursive: true })
  writeDurably(path, text)
  return 'written'
}

/** @returns whether it was there. */
export async function removeConflist(dir: string): Promise<boolean> {
  return (await present(unlink(join(dir, conflistName)).then(() => true))) ?? false
}

/**
 * The names of configurations that a runtime prefers to ours, since they come before it, first the one it takes. Those
 * behind ours do no harm.
 */
export async function competingConfigs(dir: string): Promise<string[]> {
  return (await otherConfigs(dir)).filter((name) => name < conflistName)
}

/** The names of all configurations that a runtime could load if ours were not there, first the one it would take. */
export async function otherConfigs(dir: string): Promise<string[]> {
  const entries = (await present(readdir(dir, { withFileTypes: true }))) ?? []
  return entries
    .filter((entry) => !entry.isDirectory() && loaded.has(extname(entry.name)) && entry.name !== conflistName)
    .map(({ name }) => name)
    .toSorted()
}

/** The names of those that {@link setAside} has renamed. */
export async function configsSetAside(dir: string): Promise<string[]> {
  return ((await present(readdir(dir))) ?? []).filter((name) => name.endsWith(asideSuffix)).toSorted()
}

/**
 * Renames a configuration so that no runtime loads it; a person can rename it back. To be called once ours is there: a
 * runtime without any would start no pod. Another file of that name that was set aside before is kept.
 * @returns the new name; undefined when the file has gone by itself.
 */
export async function setAside(dir: string, name: string): Promise<string | undefined> {
  const taken = new Set(await readdir(dir))
  let aside = `${name}${asideSuffix}`
  for (let n = 2; taken.has(aside); n++) aside = `${name}.${n}${asideSuffix}`
  const renamed = await present(rename(join(dir, name), join(dir, aside)).then(() => true))
  return renamed === undefined ? undefined : aside
}

/** As an extension it is none that a runtime loads. */
const asideSuffix = '.set-aside-by-fairlead'

/** The extensions that libcni and CRI-O load. */
const loaded = new Set(['.conf', '.conflist', '.json'])

async function present<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
