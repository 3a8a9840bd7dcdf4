// Which files of others can go: their CNI configurations, what they keep in /run and /var/lib, and the addresses that
// the reference plugins still hold for pods that are gone. A network with a pod that lives keeps its configuration and
// that pod's files, by which the pod can still be deleted.
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { conflistName } from '../../pods/cni/conflist.ts'
import { canonicalAddress } from '../../net/address.ts'
import { type ForeignConfig, foreignConfig, knownNetworks } from './configs.ts'
import { type Owner, ownerNames } from './owners.ts'
import type { ForeignPods } from './pods.ts'
import type { Removals, Step } from './removals.ts'

export interface ForeignDirectories {
  readonly cniConfDir: string
  /** /var/lib/cni */
  readonly cniDir: string
}

/** Where host-local keeps its networks: kindnet has it use the second. */
const hostLocalDirs = (cniDir: string): readonly string[] => [join(cniDir, 'networks'), '/run/cni-ipam-state']
const flannelRun = '/run/flannel'
/** Flannel's plugin keeps a file for each container. */
const flannelContainers = (cniDir: string): string => join(cniDir, 'flannel')
const kindnetState = '/var/lib/cni-kindnet'

export function fileRemovals(
  { cniConfDir, cniDir }: ForeignDirectories,
  pods: ForeignPods,
  running: ReadonlySet<Owner>,
): Removals {
  const found = filesIn(cniConfDir)
    .filter((path) => !path.endsWith(conflistName))
    .flatMap((path) => ({ path, config: foreignConfig(readFileSync(path, 'utf8')) }))
  const configs = found.flatMap(({ path, config }) => (config === undefined ? [] : [{ path, ...config }]))
  const networks = new Map([...knownNetworks, ...configs].map((config) => [config.network, config]))
  const held = new Set<Owner>()
  const kept: string[] = []
  const paths: string[] = []
  const may = (owner: Owner, path: string): boolean => {
    if (running.has(owner) && existsSync(path)) held.add(owner)
    return !running.has(owner)
  }

  for (const { path, owner, network } of configs) {
    if (!may(owner, path)) continue
    const living = livingAddresses(cniDir, network, pods)
    if (living.length > 0)
      kept.push(
        `${path} stays: pods of its network live, or are not known to be gone (${some(living)}); delete them, then run this again`,
      )
    else if (owner === 'plugins')
      kept.push(
        `${path} stays: it configures ${ownerNames[owner]} themselves, which somebody chose; remove it if that network is not to come back`,
      )
    else paths.push(path)
  }
  for (const directory of hostLocalDirs(cniDir))
    paths.push(...directories(directory).flatMap((path) => reservations(path, networks, pods, may)))
  paths.push(...whenEmptied('/run/cni-ipam-state', paths))
  for (const record of pods.records) {
    const config = networks.get(record.network)
    if (config !== undefined && !pods.live(record.network, record.containerId) && may(config.owner, record.path))
      paths.push(record.path)
  }
  for (const [directory, owner] of [
    [flannelRun, 'flannel'],
    [flannelContainers(cniDir), 'flannel'],
    [kindnetState, 'kindnet'],
  ] as const) {
    if (!may(owner, directory)) continue
    const removable = filesIn(directory).filter(
      (path) => directory !== flannelContainers(cniDir) || !pods.containerLives(path.slice(directory.length + 1)),
    )
    paths.push(...removable, ...whenEmptied(directory, removable))
  }
  return {
    steps: paths.map((path): Step => ({ by: 'path', path })),
    kept: [...kept, ...unknownNetworks(cniDir, networks)],
    held: [...held],
  }
}

/** FLANNEL_NETWORK and FLANNEL_IPV6_NETWORK of subnet.env; nothing where there is none. */
export function flannelNetworks(): string[] {
  const path = join(flannelRun, 'subnet.env')
  return existsSync(path)
    ? (readFileSync(path, 'utf8').match(/(?<=^FLANNEL_(IPV6_)?NETWORK=)\S+/gm) ?? []).flatMap((value) =>
        value.split(','),
      )
    : []
}

/**
 * What host-local keeps for a network of theirs: all of it where no pod of the network lives, else what pods hold that
 * are gone.
 */
function reservations(
  directory: string,
  networks: ReadonlyMap<string, ForeignConfig>,
  pods: ForeignPods,
  may: (owner: Owner, path: string) => boolean,
): string[] {
  const network = directory.slice(directory.lastIndexOf('/') + 1)
  const config = networks.get(network)
  if (config === undefined || !may(config.owner, directory)) return []
  const files = filesIn(directory)
  const given = files.filter((path) => addressOf(path) !== undefined)
  const gone = given.filter((path) => !isHeld(path, network, pods))
  if (gone.length < given.length) return gone
  const own = files.filter((path) => given.includes(path) || /\/(lock|last_reserved_ip\.\d+)$/.test(path))
  return [...own, ...whenEmptied(directory, own)]
}

function livingAddresses(cniDir: string, network: string, pods: ForeignPods): string[] {
  return hostLocalDirs(cniDir)
    .flatMap((directory) => filesIn(join(directory, network)))
    .flatMap((path) => {
      const address = addressOf(path)
      return address !== undefined && isHeld(path, network, pods) ? [address] : []
    })
}

function isHeld(path: string, network: string, pods: ForeignPods): boolean {
  const [containerId = ''] = readFileSync(path, 'utf8').split(/\s+/)
  return pods.live(network, containerId)
}

function addressOf(path: string): string | undefined {
  return canonicalAddress(path.slice(path.lastIndexOf('/') + 1))
}

function unknownNetworks(cniDir: string, networks: ReadonlyMap<string, ForeignConfig>): string[] {
  return directories(join(cniDir, 'networks'))
    .filter((path) => !networks.has(path.slice(path.lastIndexOf('/') + 1)))
    .map((path) => `${path} stays: no network that is known here has this name`)
}

/** The directory itself, once nothing else is in it. */
function whenEmptied(directory: string, removed: readonly string[]): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory).every((name) => removed.includes(join(directory, name))) ? [directory] : []
}

const filesIn = (directory: string): string[] => entriesIn(directory).filter((path) => lstatSync(path).isFile())

const directories = (directory: string): string[] =>
  entriesIn(directory).filter((path) => lstatSync(path).isDirectory())

function entriesIn(directory: string): string[] {
  return existsSync(directory)
    ? readdirSync(directory)
        .toSorted()
        .map((name) => join(directory, name))
    : []
}

function some(addresses: readonly string[]): string {
  return addresses.length <= 3
    ? addresses.join(', ')
    : `${addresses.slice(0, 3).join(', ')} and ${addresses.length - 3} more`
}
