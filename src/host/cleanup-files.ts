// Our files on the node, and which of them can go. A pod whose namespace lives still has its DEL before it, and the
// runtime makes that through our conflist and our binary: without them, and with no other network to ask, no such pod
// could be deleted any more. So these wait for the last pod, together with the records by which the next cleanup knows
// whether one is left.
import { existsSync, lstatSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { quoteWord } from '../kernel/shell-words.ts'
import { decodeAttachment } from '../pods/attachment-codec.ts'
import { configsSetAside, conflistName, otherConfigs } from '../pods/cni/conflist.ts'
import { netnsIsGone } from '../pods/netns-identity.ts'
import { withdrawnFiles } from '../services/withdrawn-store.ts'
import { cniBinaryName, isOurLoopback, loopbackName } from './install.ts'

export interface Directories {
  readonly stateDir: string
  readonly cniConfDir: string
  readonly cniBinDir: string
}

export interface FileRemovals {
  /** In this order; a directory after what is in it. */
  readonly paths: readonly string[]
  readonly kept: readonly string[]
}

/** @param purge remove also what pods need to be deleted. Changes nothing. */
export async function fileRemovals(directories: Directories, { purge }: { purge: boolean }): Promise<FileRemovals> {
  const { stateDir, cniConfDir, cniBinDir } = directories
  const plugin = [
    join(cniConfDir, conflistName),
    join(cniConfDir, `${conflistName}.tmp`),
    ...(await pluginFiles(cniBinDir)),
  ].filter(isThere)
  const records = recordsIn(join(stateDir, 'attachments'))
  const living = records.filter(hasLivingPod)
  const [successor] = await otherConfigs(cniConfDir)
  const wait = living.length > 0 && successor === undefined && !purge
  const state = stateFiles(stateDir, wait ? records.filter((path) => !living.includes(path)) : records, wait)
  const pods = living.length === 1 ? 'a pod' : `${living.length} pods`
  const aside = await configsSetAside(cniConfDir)
  return {
    paths: [...(wait ? [] : plugin), ...state.paths],
    kept: [
      ...(wait
        ? [
            `${[...plugin, join(stateDir, 'attachments')].join(', ')} stay: ${pods} of ours still ${living.length === 1 ? 'has' : 'have'} to be deleted through them, and ${cniConfDir} holds no other network's configuration; delete the pods or install the next network, then run this again (--purge removes them now)`,
          ]
        : []),
      ...aside.map(
        (name) =>
          `${join(cniConfDir, name)} stays: takeOver had set it aside; rename it back if its network is to serve this node again`,
      ),
      ...state.kept,
    ],
  }
}

/** What is gone meanwhile is no failure. @throws {Error} of the file system. */
export function removePath(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true) rmdirSync(path)
  else rmSync(path, { force: true })
}

/** As a person would type it. */
export function removalCommand(path: string): string {
  return `${lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? 'rmdir' : 'rm'} ${quoteWord(path)}`
}

/** The link before what it leads to, by which it is known to be ours. */
async function pluginFiles(cniBinDir: string): Promise<string[]> {
  const loopback = join(cniBinDir, loopbackName)
  return [
    ...((await isOurLoopback(loopback)) ? [loopback] : []),
    join(cniBinDir, cniBinaryName),
    join(cniBinDir, `${cniBinaryName}.tmp`),
  ]
}

function recordsIn(directory: string): string[] {
  return namesIn(directory)
    .filter((name) => /\.json(\.tmp|\.unreadable)?$/.test(name))
    .map((name) => join(directory, name))
}

/** A record that cannot be read tells of no pod that could be found again. */
function hasLivingPod(record: string): boolean {
  if (!record.endsWith('.json')) return false
  try {
    return !netnsIsGone(decodeAttachment(readFileSync(record, 'utf8')).netns)
  } catch {
    return false
  }
}

/** The lock is the last file: until then no agent can come in. A directory goes when nothing is left in it. */
function stateFiles(stateDir: string, records: readonly string[], wait: boolean): FileRemovals {
  if (!existsSync(stateDir)) return { paths: [], kept: [] }
  const attachments = join(stateDir, 'attachments')
  const ownNames = ['cni.sock', 'resting.json', 'resting.json.tmp', ...withdrawnFiles, 'lock']
  const strangers = [
    ...namesIn(attachments)
      .map((name) => join(attachments, name))
      .filter((path) => !wait && !records.includes(path)),
    ...namesIn(stateDir)
      .filter((name) => name !== 'attachments' && !ownNames.includes(name))
      .map((name) => join(stateDir, name)),
  ]
  const whole = !wait && strangers.length === 0
  return {
    paths: [
      ...records,
      ...(whole && existsSync(attachments) ? [attachments] : []),
      ...ownNames.map((name) => join(stateDir, name)).filter(isThere),
      ...(whole ? [stateDir] : []),
    ],
    kept:
      strangers.length > 0
        ? [`${stateDir} stays: ${strangers.join(', ')} ${strangers.length === 1 ? 'is' : 'are'} not ours`]
        : [],
  }
}

function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).toSorted() : []
}

/** Also a link that leads nowhere. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
