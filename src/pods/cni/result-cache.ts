// What the runtime's libcni remembers of each ADD: DIR/results/NETWORK-CONTAINER-INTERFACE (containerd, CRI-O), or
// DIR/cache/results (dockershim and its heirs). It is read where a record of our own is lost.
import type { Dirent } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import * as z from 'zod'
import { hostVethName, type InterfaceName, parseInterfaceName } from '../../net/interface-name.ts'
import type { Bandwidth, PodIdentity, PortMapping } from '../attachment.ts'
import { parsePodIdentity } from './cni-args.ts'
import { type CniResult, parseResult } from './cni-result.ts'
import { parseRuntimeConfig } from './net-conf.ts'

/** An ADD as libcni has recorded it. */
export interface CachedAdd {
  readonly network: string
  readonly containerId: string
  readonly podInterface: InterfaceName
  /** CNI_NETNS; undefined in records that do not say it (libcni before 1.2) and whose result does not either. */
  readonly netns: string | undefined
  readonly pod: PodIdentity | undefined
  readonly portMappings: readonly PortMapping[]
  readonly bandwidth: Bandwidth | undefined
  readonly result: CniResult
  /** Other plugins ran after ours, which may have changed the interface. */
  readonly chained: boolean
}

const recordShape = z.object({
  kind: z.literal('cniCacheV1'),
  containerId: z.string(),
  ifName: z.string(),
  networkName: z.string(),
  netns: z.string().nullish(),
  /** The configuration list as the runtime had it, in base64. */
  config: z.string().nullish(),
  cniArgs: z.array(z.tuple([z.string(), z.string()])).nullish(),
  capabilityArgs: z.record(z.string(), z.unknown()).nullish(),
  result: z.unknown(),
})

/**
 * @param cniDir /var/lib/cni; where it is missing, nothing is remembered.
 * @param wanted host veths: only what is remembered of these is read.
 * @returns by host veth, whose name follows from container and interface.
 */
export async function cachedAdds(
  cniDir: string,
  wanted: ReadonlySet<string>,
  log: Logger,
): Promise<ReadonlyMap<string, CachedAdd>> {
  const found = new Map<string, CachedAdd>()
  for (const directory of [join(cniDir, 'results'), join(cniDir, 'cache', 'results')]) {
    for (const name of await filesIn(directory)) {
      const hostInterface = possibleVeths(name).find((veth) => wanted.has(veth))
      if (hostInterface === undefined) continue
      try {
        const add = parseRecord(await readFile(join(directory, name), 'utf8'))
        if (hostVethName(add.containerId, add.podInterface) === hostInterface) found.set(hostInterface, add)
      } catch (error) {
        log.warn({ err: error, file: join(directory, name) }, 'cannot read what the runtime has cached of a pod')
      }
    }
  }
  return found
}

async function filesIn(directory: string): Promise<string[]> {
  let entries: Dirent[]
  try {
    entries = await readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR', 'EACCES'].includes(String(error.code)))
      return []
    throw error
  }
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}

/** The host veths that a file may be about: each of its three parts may hold dashes. */
function possibleVeths(name: string): InterfaceName[] {
  const parts = name.split('-')
  return parts.flatMap((_, end) =>
    parts
      .slice(1, end)
      .map((__, start) => hostVethName(parts.slice(start + 1, end).join('-'), parts.slice(end).join('-'))),
  )
}

/** @throws for what is not a record that a pod could be known by. */
function parseRecord(text: string): CachedAdd {
  const { networkName, containerId, ifName, netns, config, cniArgs, capabilityArgs, result } = recordShape.parse(
    JSON.parse(text),
  )
  const podInterface = parseInterfaceName(ifName)
  const parsed = parseResult(result)
  return {
    network: networkName,
    containerId,
    podInterface,
    netns:
      netns ?? parsed.interfaces.find(({ name, sandbox }) => name === podInterface && sandbox !== undefined)?.sandbox,
    pod: parsePodIdentity((cniArgs ?? []).map(([key, value]) => `${key}=${value}`).join(';')),
    ...parseRuntimeConfig({ fields: { runtimeConfig: capabilityArgs } }),
    result: parsed,
    chained: pluginsIn(config ?? '') > 1,
  }
}

function pluginsIn(config: string): number {
  try {
    const list = JSON.parse(Buffer.from(config, 'base64').toString()) as { plugins?: unknown }
    return Array.isArray(list.plugins) ? list.plugins.length : 1
  } catch {
    return 1
  }
}
