// Finds out whose the veths of ours are that no attachment knows: after a state directory was emptied or replaced, or a
// record in it damaged. Nothing is changed here.
import { statSync } from 'node:fs'
import { CommandError } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Link } from '../kernel/observed.ts'
import { type Cidr, cidrOf } from '../net/cidr.ts'
import { cachedAdds } from './cni/result-cache.ts'
import type { PodContext } from './context.ts'
import { type Finding, rebuild } from './rebuilt-attachment.ts'

/**
 * @param orphans host veths of ours without an attachment
 * @param links all links of the node
 * @returns what each of them is, in their order
 * @throws {CommandError} when the kernel cannot be asked
 */
export async function traceOrphans(
  { kernel, state, hooks, cniDir, log }: PodContext,
  orphans: readonly Link[],
  links: readonly Link[],
): Promise<Finding[]> {
  const [cached, paths] = await Promise.all([
    cachedAdds(cniDir, new Set(orphans.map(({ name }) => name)), log),
    kernel.namespacePaths(),
  ])
  const podCidrs = [...bridgeCidrs(links), ...(state.settings?.podCidrs ?? [])]
  const ports = orphans.every(({ name }) => cached.has(name)) ? undefined : await hooks.hostPorts.published()
  return await Promise.all(
    orphans.map(async (host) => {
      const add = cached.get(host.name)
      const candidates = [add?.netns, paths.get(host.peer?.namespace ?? -1)].filter((path) => path !== undefined)
      const entered = await peerOf(kernel, host, candidates)
      const netns = entered?.netns ?? add?.netns
      return rebuild({
        host,
        netns,
        netnsId: netns === undefined ? undefined : netnsIdOf(netns),
        peer: entered?.peer,
        cached: add,
        podCidrs,
        portsOf: (address) => ports?.get(address) ?? [],
      })
    }),
  )
}

/** The bridge keeps the gateway of every podCIDR that a pod has an address of. */
function bridgeCidrs(links: readonly Link[]): Cidr[] {
  return links
    .filter(({ type }) => type === 'bridge')
    .flatMap(({ addresses }) => addresses)
    .filter(({ scope }) => scope === 'global')
    .map(({ address, prefix }) => cidrOf(address, prefix))
}

/** The other end of the veth, in the first of the namespaces that has it. */
async function peerOf(
  kernel: Kernel,
  host: Link,
  candidates: readonly string[],
): Promise<{ netns: string; peer: Link } | undefined> {
  for (const netns of candidates) {
    const peer = (await linksIn(kernel, netns)).find(
      ({ index, peer: back }) => index === host.peer?.index && back?.index === host.index,
    )
    if (peer !== undefined) return { netns, peer }
  }
  return undefined
}

/** Nothing where the namespace has gone, or cannot be entered by that path. */
async function linksIn(kernel: Kernel, netns: string): Promise<readonly Link[]> {
  try {
    return await kernel.linksIn(netns)
  } catch (error) {
    if (error instanceof CommandError || error instanceof TypeError) return []
    throw error
  }
}

function netnsIdOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  return found && `${found.dev}:${found.ino}`
}
