// Addresses that the reference IPAM plugin gave to pods of the network before us: while those pods share our bridge,
// nobody else may have them.
//
// host-local keeps DIR/networks/NETWORK/ADDRESS, a file that holds the container and its interface; libcni keeps
// DIR/results/NETWORK-CONTAINER-INTERFACE, which says where that container's namespace is. Both are only read.
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import * as z from 'zod'
import { type Address, parseAddress } from '../net/address.ts'
import { netnsIsGone } from './netns-identity.ts'

/**
 * @param cniDir /var/lib/cni; where it is missing, or not mounted into our pod, there is nothing to say.
 * @throws when it cannot be read
 */
export async function hostLocalAddresses(cniDir: string): Promise<Address[]> {
  const networks = await namesIn(join(cniDir, 'networks'))
  const files = await Promise.all(
    networks.map(async (network) =>
      (await namesIn(join(cniDir, 'networks', network))).map((name) => join(cniDir, 'networks', network, name)),
    ),
  )
  const given = await Promise.all(files.flat().map((file) => livingAddress(cniDir, file)))
  return given.flatMap((address) => address ?? [])
}

/**
 * Undefined for a file that is no reservation (the lock, the last address given), and for one whose pod is gone: those
 * are never cleaned up by themselves.
 */
async function livingAddress(cniDir: string, file: string): Promise<Address | undefined> {
  const address = asAddress(basename(file))
  if (address === undefined) return undefined
  const [container = '', podInterface = 'eth0'] = (await textOf(file)).split(/\s+/)
  const netns = netnsOf(
    await textOf(
      join(cniDir, 'results', `${basename(dirname(file))}-${basename(container)}-${basename(podInterface)}`),
    ),
  )
  return netns !== undefined && netnsIsGone(netns) ? undefined : address
}

function asAddress(name: string): Address | undefined {
  try {
    return parseAddress(name)
  } catch {
    return undefined
  }
}

const record = z.object({ netns: z.string().startsWith('/') })

/** Undefined where the record does not say: then the pod has to be taken for alive. */
function netnsOf(text: string): string | undefined {
  try {
    return record.safeParse(JSON.parse(text)).data?.netns
  } catch {
    return undefined
  }
}

function namesIn(directory: string): Promise<string[]> {
  return orIfMissing(readdir(directory), [])
}

function textOf(file: string): Promise<string> {
  return orIfMissing(readFile(file, 'utf8'), '')
}

async function orIfMissing<T>(reading: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await reading
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return otherwise
    throw error
  }
}
